# SPDX-License-Identifier: Apache-2.0
"""Inception V1 (GoogLeNet)."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

_RELU = Activation.RELU

# Channels: 1x1; reduction and 3x3; reduction and 5x5; after the pool. None is a max pool of stride 2.
_Channels = tuple[int, int, int, int, int, int]
_MODULES: tuple[_Channels | None, ...] = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    None,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    None,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)


def _module(b: Builder, x: Value, channels: _Channels, wide: int) -> Value:
    one, reduce_three, three, reduce_five, five, pooled = channels
    branches = [
        b.conv(x, one, activation=_RELU),
        b.conv(b.conv(x, reduce_three, activation=_RELU), three, 3, activation=_RELU),
        b.conv(b.conv(x, reduce_five, activation=_RELU), five, wide, activation=_RELU),
        b.conv(b.max_pool(x, 3, 1), pooled, activation=_RELU),
    ]
    return b.concat(branches)


def inception_v1(*, resolution: int = 224, classes: int = 1000, wide: int = 5, seed: int = 4) -> Model:
    """Inception V1: nine modules of four parallel branches, without the auxiliary classifiers.

    Local response normalization is replaced by (folded) batch normalization, as in later implementations; some of
    those also make the 5x5 convolutions 3x3, which `wide=3` does.

    Published with 5x5: 6,998,552 parameters, 1.5 G multiply-adds; with 3x3: 6.6 M.

    Source: Szegedy et al., "Going Deeper with Convolutions", arXiv 1409.4842, table 1.
    """
    b = Builder("inception_v1", seed)
    x = image = b.input((1, resolution, resolution, 3))
    x = b.max_pool(b.conv(x, 64, 7, 2, activation=_RELU), 3, 2)
    x = b.conv(b.conv(x, 64, activation=_RELU), 192, 3, activation=_RELU)
    x = b.max_pool(x, 3, 2)
    for channels in _MODULES:
        x = b.max_pool(x, 3, 2) if channels is None else _module(b, x, channels, wide)
    x = b.global_pool(x)
    return b.model([image], [b.classify(b.reshape(x, (1, x.channels)), classes)])
