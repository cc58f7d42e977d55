# SPDX-License-Identifier: Apache-2.0
"""ResNet-8 (MLPerf Tiny image classification) and ResNet-50."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

_RELU = Activation.RELU
_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # bottleneck channels, blocks, stride


def resnet_8(*, resolution: int = 32, classes: int = 10, seed: int = 11) -> Model:
    """ResNet-8 as in MLPerf Tiny: three stages of one residual block each.

    Published: 12.5 M multiply-adds, 78 k parameters; the same operators and shapes as the benchmark's model.

    Source: Banbury et al., "MLPerf Tiny Benchmark", arXiv 2106.07597; He et al., arXiv 1512.03385.
    """
    b = Builder("resnet_8", seed)
    image = b.input((1, resolution, resolution, 3), 0.0, 255.0)
    x = b.conv(image, 16, 3, activation=_RELU)
    for channels in (16, 32, 64):
        stride = 1 if channels == x.channels else 2
        y = b.conv(b.conv(x, channels, 3, stride, activation=_RELU), channels, 3)
        shortcut = x if stride == 1 else b.conv(x, channels, 1, stride)
        x = b.add(shortcut, y, _RELU)
    x = b.global_pool(x)
    return b.model([image], [b.classify(b.reshape(x, (1, x.channels)), classes)])


def _bottleneck(b: Builder, x: Value, channels: int, stride: int) -> Value:
    y = b.conv(x, channels, activation=_RELU)
    y = b.conv(b.conv(y, channels, 3, stride, activation=_RELU), 4 * channels)
    same = stride == 1 and x.channels == 4 * channels
    return b.add(x if same else b.conv(x, 4 * channels, 1, stride), y, _RELU)


def resnet_50_features(b: Builder, x: Value) -> tuple[Value, Value, Value, Value]:
    """Outputs of the four stages, at 1/4, 1/8, 1/16 and 1/32 of the input's rows and columns."""
    x = b.max_pool(b.conv(x, 64, 7, 2, activation=_RELU), 3, 2)
    stages = []
    for channels, blocks, stride in _STAGES:
        for i in range(blocks):
            x = _bottleneck(b, x, channels, stride if i == 0 else 1)
        stages.append(x)
    return stages[0], stages[1], stages[2], stages[3]


def resnet_50(*, resolution: int = 224, classes: int = 1000, seed: int = 12) -> Model:
    """ResNet-50 with the stride in the 3x3 convolutions.

    Published: 25.6 M parameters, 23.5 M of them before the classifier; 4.1 G multiply-adds.

    Source: He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385, table 1.
    """
    b = Builder("resnet_50", seed)
    image = b.input((1, resolution, resolution, 3))
    return b.model([image], [b.classify(b.mean(resnet_50_features(b, image)[3]), classes)])
