# SPDX-License-Identifier: Apache-2.0
"""DenseNet-121."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value, affine

_RELU = Activation.RELU
_GROWTH = 32
_BLOCKS = (6, 12, 24, 16)
_BLOCK = affine(-5.0, 5.0)  # a block's growing concatenation keeps one scale from its first part to its last


def _layer(b: Builder, x: Value) -> Value:
    y = b.conv(b.batch_norm(x, _RELU), 4 * _GROWTH, activation=_RELU)
    return b.concat([x, b.conv(y, _GROWTH, 3, quant=_BLOCK)])


def densenet_121(*, resolution: int = 224, classes: int = 1000, seed: int = 8) -> Model:
    """DenseNet-121: in a block, every layer reads all layers before it.

    The normalization in front of a 1x1 convolution follows a concatenation, so that it cannot be folded: it stays
    as MUL and ADD, and a ReLU is fused into the ADD.

    Published: 7,978,856 parameters (8.0 M), 2.9 G multiply-adds.

    Source: Huang et al., "Densely Connected Convolutional Networks", arXiv 1608.06993, table 1.
    """
    b = Builder("densenet_121", seed)
    x = image = b.input((1, resolution, resolution, 3))
    x = b.max_pool(b.conv(x, 64, 7, 2, activation=_RELU, quant=_BLOCK), 3, 2)
    for index, layers in enumerate(_BLOCKS):
        if index:
            x = b.average_pool(b.conv(b.batch_norm(x, _RELU), x.channels // 2, quant=_BLOCK), 2, 2)
        for _ in range(layers):
            x = _layer(b, x)
    return b.model([image], [b.classify(b.mean(b.batch_norm(x, _RELU)), classes)])
