# SPDX-License-Identifier: Apache-2.0
"""MobileNet V1 and V2, of any width and resolution, and their feature extractors for other networks."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

_RELU6 = Activation.RELU6

# Output channels and stride of the depthwise-separable layers.
_V1_LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip

# Expansion, output channels, repetitions, stride of the first.
_V2_LAYERS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def rounded(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, at least `divisor` and not below 90 % of `channels`."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


class _Strides:
    """Turns strides into dilations once the output stride is reached, as segmentation networks do."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.reached = 1
        self.dilation = 1

    def next(self, stride: int) -> tuple[int, int]:
        """Stride and dilation of the next window; a stride that is left out dilates what comes after it."""
        dilation = self.dilation
        if self.reached * stride > self.limit:
            self.dilation *= stride
            return 1, dilation
        self.reached *= stride
        return stride, dilation


def v1_features(b: Builder, x: Value, width: float, output_stride: int = 32) -> Value:
    """The convolutions of MobileNet V1: `[N,H,W,3]` to `[N,H/s,W/s,1024*width]`."""
    strides = _Strides(output_stride)
    x = b.conv(x, max(8, int(32 * width)), 3, strides.next(2)[0], activation=_RELU6)
    for channels, stride in _V1_LAYERS:
        step, dilation = strides.next(stride)
        x = b.depthwise(x, 3, step, activation=_RELU6, dilation=dilation)
        x = b.conv(x, max(8, int(channels * width)), activation=_RELU6)
    return x


def _inverted_residual(b: Builder, x: Value, channels: int, expansion: int, step: tuple[int, int]) -> Value:
    """Expand by a 1x1 convolution, filter each channel, project linearly; add the input where shapes allow."""
    stride, dilation = step
    y = b.conv(x, x.channels * expansion, activation=_RELU6) if expansion > 1 else x
    y = b.depthwise(y, 3, stride, activation=_RELU6, dilation=dilation)
    y = b.conv(y, channels)
    return b.add(x, y) if stride == 1 and channels == x.channels else y


def v2_features(b: Builder, x: Value, width: float, output_stride: int = 32) -> Value:
    """The bottlenecks of MobileNet V2: `[N,H,W,3]` to `[N,H/s,W/s,320*width]`."""
    strides = _Strides(output_stride)
    x = b.conv(x, rounded(32 * width), 3, strides.next(2)[0], activation=_RELU6)
    for expansion, channels, count, first in _V2_LAYERS:
        for i in range(count):
            step = strides.next(first if i == 0 else 1)
            x = _inverted_residual(b, x, rounded(channels * width), expansion, step)
    return x


def mobilenet_v1(*, width: float = 1.0, resolution: int = 224, classes: int = 1000, seed: int = 1) -> Model:
    """MobileNet V1: 28 layers of depthwise-separable convolutions.

    Published at width 1.0 and resolution 224: 4.2 M parameters, 569 M multiply-adds.

    Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
    arXiv 1704.04861, tables 1 and 8.
    """
    b = Builder("mobilenet_v1", seed)
    x = image = b.input((1, resolution, resolution, 3))
    x = b.global_pool(v1_features(b, x, width))
    return b.model([image], [b.classify(b.reshape(x, (1, x.channels)), classes)])


def mobilenet_v2(*, width: float = 1.0, resolution: int = 224, classes: int = 1000, seed: int = 2) -> Model:
    """MobileNet V2: inverted residuals with linear bottlenecks.

    Published at width 1.0 and resolution 224: 3.4 M parameters (3.5 M in the authors' code), 300 M multiply-adds.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381, table 2.
    """
    b = Builder("mobilenet_v2", seed)
    x = image = b.input((1, resolution, resolution, 3))
    x = v2_features(b, x, width)
    x = b.conv(x, rounded(1280 * max(1.0, width)), activation=_RELU6)
    return b.model([image], [b.classify(b.mean(x), classes)])
