# SPDX-License-Identifier: Apache-2.0
"""DeepLabv3 (segmentation) and PoseNet (key points), both on MobileNet features at a finer output stride."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.mobilenet import v1_features, v2_features
from thimble.zoo.values import Value

_RELU = Activation.RELU
_HEADS = (17, 34, 32, 32)  # heatmaps, offsets, displacements forward and backward of 17 key points


def _pyramid(b: Builder, x: Value, rates: tuple[int, ...]) -> Value:
    """Atrous spatial pyramid pooling: image pooling, a 1x1 convolution, a dilated 3x3 one for each rate."""
    image = b.resize(b.conv(b.global_pool(x), 256, activation=_RELU), *x.shape[1:3])
    parts = [image, b.conv(x, 256, activation=_RELU)]
    parts += [b.conv(x, 256, 3, activation=_RELU, dilation=rate) for rate in rates]
    return b.conv(b.concat(parts), 256, activation=_RELU)


def deeplab_v3(
    *,
    width: float = 1.0,
    resolution: int = 257,
    classes: int = 21,
    rates: tuple[int, ...] = (6, 12, 18),
    output_stride: int = 16,
    seed: int = 9,
) -> Model:
    """DeepLabv3 on MobileNet V2; `rates=()` leaves out the dilated branches, as small models do.

    Published at 513 pixels and stride 16: 2.11 M parameters and 2.75 G multiply-adds without the dilated branches,
    4.52 M and 5.8 G with them (the convolutions here come to 5.4 G).

    Source: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv 1706.05587;
    Sandler et al., arXiv 1801.04381, table 7.
    """
    b = Builder("deeplab_v3", seed)
    image = b.input((1, resolution, resolution, 3))
    x = _pyramid(b, v2_features(b, image, width, output_stride), rates)
    logits = b.conv(x, classes)
    return b.model([image], [b.resize(logits, resolution, resolution, align_corners=True)])


def posenet(*, width: float = 1.0, resolution: int = 257, output_stride: int = 16, seed: int = 10) -> Model:
    """PoseNet: MobileNet V1 with four heads, whose outputs are `[1,H,W,17]`, `34`, `32` and `32`.

    Published: the features are MobileNet V1's 3.2 M parameters (4.2 M without the classifier).

    Source: Papandreou et al., "PersonLab", arXiv 1803.08225 (the heads); Howard et al., arXiv 1704.04861.
    """
    b = Builder("posenet", seed)
    image = b.input((1, resolution, resolution, 3))
    x = v1_features(b, image, width, output_stride)
    heads = [b.conv(x, channels) for channels in _HEADS]
    return b.model([image], [b.logistic(heads[0]), *heads[1:]])
