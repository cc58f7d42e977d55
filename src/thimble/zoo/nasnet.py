# SPDX-License-Identifier: Apache-2.0
"""NASNet-A (4 @ 1056), "NASNet-mobile"."""

from __future__ import annotations

from thimble.ir import Activation, Model, Padding
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value, affine

_CELL = affine(-6.0, 6.0)  # all parts of a cell's concatenation share it


def _separable(b: Builder, x: Value, channels: int, kernel: int, stride: int = 1) -> Value:
    """Twice: ReLU, depthwise, pointwise; the stride is the first one's."""
    x = b.conv(b.depthwise(b.relu(x), kernel, stride), channels, activation=Activation.RELU)
    return b.conv(b.depthwise(x, kernel), channels)


def _shrunk(b: Builder, p: Value, channels: int) -> Value:
    """Half the rows and columns: two samplings by 2, the second shifted by one pixel, side by side."""
    p = b.relu(p)
    _, rows, cols, depth = p.shape
    shifted = b.crop(b.pad(p, ((0, 0), (0, 1), (0, 1), (0, 0))), (0, 1, 1, 0), (1, rows + 1, cols + 1, depth))
    paths = [b.average_pool(x, 1, 2, Padding.VALID) for x in (p, shifted)]
    halves = (channels // 2, channels - channels // 2)
    return b.concat([b.conv(x, n, quant=_CELL) for x, n in zip(paths, halves, strict=True)])


def _adjusted(b: Builder, p: Value, x: Value, channels: int) -> Value:
    """The cell before last, brought to this cell's rows, columns and channels."""
    if p.shape[1:3] != x.shape[1:3]:
        return _shrunk(b, p, channels)
    return p if p.channels == channels else b.conv(b.relu(p), channels, quant=_CELL)


def _normal(b: Builder, x: Value, previous: Value, channels: int) -> Value:
    p = _adjusted(b, previous, x, channels)
    h = b.conv(b.relu(x), channels, quant=_CELL)
    first = b.add(_separable(b, h, channels, 5), _separable(b, p, channels, 3), quant=_CELL)
    second = b.add(_separable(b, p, channels, 5), _separable(b, p, channels, 3), quant=_CELL)
    third = b.add(b.average_pool(h, 3, 1), p, quant=_CELL)
    smooth = b.average_pool(p, 3, 1)  # the paper has two of them side by side, which are the same
    fourth = b.add(smooth, smooth, quant=_CELL)
    fifth = b.add(_separable(b, h, channels, 3), h, quant=_CELL)
    return b.concat([p, first, second, third, fourth, fifth])


def _reduction(b: Builder, x: Value, previous: Value | None, channels: int) -> Value:
    p = x if previous is None else _adjusted(b, previous, x, channels)
    h = b.conv(b.relu(x), channels, quant=_CELL)
    edges = [((1, 1) if n % 2 else (0, 1)) for n in h.shape[1:3]]
    padded = b.pad(h, ((0, 0), *edges, (0, 0)))
    first = b.add(_separable(b, h, channels, 5, 2), _separable(b, p, channels, 7, 2), quant=_CELL)
    peak = b.max_pool(padded, 3, 2, Padding.VALID)
    second = b.add(peak, _separable(b, p, channels, 7, 2), quant=_CELL)
    flat = b.average_pool(padded, 3, 2, Padding.VALID)
    third = b.add(flat, _separable(b, p, channels, 5, 2), quant=_CELL)
    fourth = b.add(b.average_pool(first, 3, 1), second, quant=_CELL)
    fifth = b.add(_separable(b, first, channels, 3), peak, quant=_CELL)
    return b.concat([second, third, fourth, fifth])


def nasnet_mobile(*, resolution: int = 224, classes: int = 1000, seed: int = 7) -> Model:
    """NASNet-A with four normal cells per stage and 1056 channels before the classifier.

    Each cell reads the two before it, so that up to a dozen tensors are live at once. Batch normalization after
    the side-by-side sampling is folded into its convolutions.

    Published: 5.3 M parameters, 564 M multiply-adds.

    Source: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", arXiv 1707.07012,
    figure 4 and table 2; stem and alignment as in the reference implementation.
    """
    b = Builder("nasnet_mobile", seed)
    image = b.input((1, resolution, resolution, 3))
    base = 1056 // 24
    stem = b.conv(image, 32, 3, 2, activation=Activation.RELU, padding=Padding.VALID)
    first = _reduction(b, stem, None, base // 4)
    x, previous = _reduction(b, first, stem, base // 2), first
    for stage in range(3):
        if stage:
            x, previous = _reduction(b, x, previous, base * 2**stage), x
        for _ in range(4):
            x, previous = _normal(b, x, previous, base * 2**stage), x
    return b.model([image], [b.classify(b.mean(b.relu(x)), classes)])
