# SPDX-License-Identifier: Apache-2.0
"""SqueezeNet 1.1."""

from __future__ import annotations

from thimble.ir import Activation, Model, Padding
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

_RELU = Activation.RELU
_POOL = -1
_LAYERS = (_POOL, 16, 16, _POOL, 32, 32, _POOL, 48, 48, 64, 64)  # channels to squeeze to, or a pool


def _fire(b: Builder, x: Value, squeeze: int) -> Value:
    """Squeeze by a 1x1 convolution, expand by a 1x1 and a 3x3 one to four times as many channels each."""
    x = b.conv(x, squeeze, activation=_RELU)
    return b.concat([b.conv(x, 4 * squeeze, 1, activation=_RELU), b.conv(x, 4 * squeeze, 3, activation=_RELU)])


def squeezenet(*, resolution: int = 224, classes: int = 1000, seed: int = 3) -> Model:
    """SqueezeNet 1.1: fire modules, no fully connected layer.

    Published: 1,235,496 parameters in the reference implementations of 1.1 (1.24 M).

    Source: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv 1602.07360;
    version 1.1 from the authors' repository.
    """
    b = Builder("squeezenet", seed)
    x = image = b.input((1, resolution, resolution, 3))
    x = b.conv(x, 64, 3, 2, activation=_RELU, padding=Padding.VALID)
    for squeeze in _LAYERS:
        x = b.max_pool(x, 3, 2, Padding.VALID) if squeeze == _POOL else _fire(b, x, squeeze)
    x = b.global_pool(b.conv(x, classes, activation=_RELU, gain=6.0))
    return b.model([image], [b.softmax(b.reshape(x, (1, classes)))])
