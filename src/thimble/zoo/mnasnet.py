# SPDX-License-Identifier: Apache-2.0
"""MnasNet A1 (with squeeze-and-excitation) and B1."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

_RELU = Activation.RELU

# Kernel, expansion, output channels, repetitions, stride of the first, squeeze-and-excitation.
_Stage = tuple[int, int, int, int, int, bool]
_A1: tuple[_Stage, ...] = (
    (3, 6, 24, 2, 2, False),
    (5, 3, 40, 3, 2, True),
    (3, 6, 80, 4, 2, False),
    (3, 6, 112, 2, 1, True),
    (5, 6, 160, 3, 2, True),
    (3, 6, 320, 1, 1, False),
)
_B1: tuple[_Stage, ...] = (
    (3, 3, 24, 3, 2, False),
    (5, 3, 40, 3, 2, False),
    (5, 6, 80, 3, 2, False),
    (3, 6, 96, 2, 1, False),
    (5, 6, 192, 4, 2, False),
    (3, 6, 320, 1, 1, False),
)


def _excited(b: Builder, x: Value, squeezed: int) -> Value:
    """Each channel times a gate between 0 and 1 that the channels' means decide."""
    gate = b.conv(b.mean(x, keep_dims=True), squeezed, activation=_RELU)
    return b.mul(x, b.logistic(b.conv(gate, x.channels)))


def _block(b: Builder, x: Value, stage: _Stage, stride: int) -> Value:
    kernel, expansion, channels, _, _, excite = stage
    y = b.conv(x, x.channels * expansion, activation=_RELU)
    y = b.depthwise(y, kernel, stride, activation=_RELU)
    if excite:
        y = _excited(b, y, x.channels // 4)
    y = b.conv(y, channels)
    return b.add(x, y) if stride == 1 and channels == x.channels else y


def _network(name: str, stages: tuple[_Stage, ...], resolution: int, classes: int, seed: int) -> Model:
    b = Builder(name, seed)
    x = image = b.input((1, resolution, resolution, 3))
    x = b.conv(x, 32, 3, 2, activation=_RELU)
    x = b.conv(b.depthwise(x, 3, activation=_RELU), 16)
    for stage in stages:
        for i in range(stage[3]):
            x = _block(b, x, stage, stage[4] if i == 0 else 1)
    x = b.mean(b.conv(x, 1280, activation=_RELU))
    return b.model([image], [b.classify(x, classes)])


def mnasnet_a1(*, resolution: int = 224, classes: int = 1000, seed: int = 5) -> Model:
    """MnasNet-A1: found by search, with squeeze-and-excitation in three stages.

    Published: 3.9 M parameters, 312 M multiply-adds.

    Source: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", arXiv 1807.11626,
    figure 7 and table 1.
    """
    return _network("mnasnet_a1", _A1, resolution, classes, seed)


def mnasnet_b1(*, resolution: int = 224, classes: int = 1000, seed: int = 6) -> Model:
    """MnasNet-B1: the search without squeeze-and-excitation.

    Published: 4.4 M parameters, 315 M multiply-adds.

    Source: Tan et al., arXiv 1807.11626, appendix; channels from the authors' repository.
    """
    return _network("mnasnet_b1", _B1, resolution, classes, seed)
