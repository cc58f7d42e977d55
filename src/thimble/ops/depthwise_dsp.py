# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D on int8 with packed arithmetic: which kernel, by work space and instructions.

Bands of four channels, of two or of one (kernels/depthwise_conv_2d_s8_dsp.h), or no work space at all
(kernels/depthwise_conv_2d_s8_walk_dsp.h).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from thimble.ir import DType
from thimble.kernel import Fields
from thimble.ops.lowering import image, packed
from thimble.ops.numerics import quant_of
from thimble.ops.requantized import Filters, Kernel
from thimble.ops.weighted import Layer
from thimble.ops.weighted_dsp import output_range, scales, wrapped

MOST_ROWS = 8
"""Of a filter without bands."""
WALK, WALK_TAP, WALK_EDGE = 16.5, 2.5, 2.6
"""Instructions for a result without bands, for each of its taps, and more for each at the edges of the image.

Source: fitted to what the emulator counts (mps2-an386, GCC -O2), as are those below.
"""
BANDS = ((4, 4.0, 75), (2, 6.0, 113), (1, 9.0, 190))
"""Channels at a time, and instructions per channel for a pair of cells, and for a row."""

Maker = Callable[[Layer, Filters], Kernel]


@dataclass(frozen=True, slots=True)
class _Bands:
    """Of a layer: words of a filter's row, filters for even and odd first columns, pairs of columns in a band."""

    words: int
    versions: int
    pairs: int


def depthwise(layer: Layer, filters: Filters) -> Kernel | None:
    """The fastest kernel among those whose work space the site allows; None where none of them can be used.

    There must be a filter per channel.
    """
    ways = [(instructions, make) for work, instructions, make in _ways(layer) if layer.site.allows(work)]
    return min(ways, key=lambda way: way[0])[1](layer, filters) if ways else None


def takes_channels_in_turn(kernel: str) -> bool:
    """Whether all rows of some channels are computed before others, each row read before it is written."""
    return kernel == "depthwise_conv_2d_s8_dsp"


def _ways(layer: Layer) -> Iterator[tuple[int, float, Maker]]:
    """Work space, about how many instructions a result takes, and how to make the kernel."""
    (rows, columns), stride = layer.over.kernel, layer.over.stride
    (_, before, *_), (_, height, width, channels) = layer.shapes
    taps = rows * columns
    if channels % 4 == 0 and rows <= MOST_ROWS:
        edges = min(1.0, (rows - 1) / stride[0] / height + (columns - 1) / stride[1] / width)
        yield 0, WALK + (WALK_TAP + WALK_EDGE * edges) * taps, _walk
    if layer.over.dilation == (1, 1) and width > 1:
        bands = _bands(layer)
        quick = (rows, columns) == (3, 3) and stride[1] <= 2
        sums = (15 if stride[1] == 1 else 17) if quick else 12 + 3.5 * rows * bands.words
        fresh = min(stride[0] * height, before) * bands.pairs / height
        for lanes, turn, row in BANDS:
            if channels >= lanes:
                yield _band_bytes(layer, lanes), sums + (fresh * turn + row + 60 / height) / width, _banded(lanes)


def _bands(layer: Layer) -> _Bands:
    columns, stride, width = layer.over.kernel[1], layer.over.stride[1], layer.shapes[1][2]
    words = columns // 2 + 1
    last = (width - 1) * stride
    return _Bands(words, 1 + stride % 2, max(last // 2 + words, (width + 1) // 2 * stride + 1))


def _band_bytes(layer: Layer, lanes: int) -> int:
    bands = _bands(layer)
    return 4 * lanes * layer.over.kernel[0] * (bands.pairs + bands.versions * bands.words * 2)


def _banded(lanes: int) -> Maker:
    """Weights as in the model; work space for the bands of some channels and, for each, the filters twice."""

    def make(layer: Layer, filters: Filters) -> Kernel:
        bands = _bands(layer)
        over = dict(layer.over.fields(layer.shapes[0]))
        names = ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")
        fields = (
            *_images(layer),
            *((name, over[name]) for name in names),
            ("pairs", bands.pairs),
            ("words", bands.words),
            ("filters", bands.versions),
            ("lanes", lanes),
            *_rest(layer),
        )
        weights = packed("weights", DType.INT8, filters.values.T)
        channels = np.column_stack([wrapped(2 * filters.bias), scales(layer, filters, packed=False)])
        constants = (weights, packed("channels", DType.INT32, channels))
        return "depthwise_conv_2d_s8_dsp", constants, fields, _band_bytes(layer, lanes)

    return make


def _walk(layer: Layer, filters: Filters) -> Kernel:
    """For each four channels biases, a word of weights per tap, and scales."""
    count = layer.channels // 4
    taps = filters.values.reshape(count, 4, -1).transpose(0, 2, 1).astype(np.int8)
    words = np.frombuffer(taps.tobytes(), "<i4").reshape(count, -1)
    rows = scales(layer, filters, packed=False).reshape(count, -1)
    stream = np.concatenate([wrapped(filters.bias).reshape(count, 4), words, rows], axis=1)
    fields = (*_images(layer), *layer.over.fields(layer.shapes[0]), *_rest(layer))
    return "depthwise_conv_2d_s8_walk_dsp", (packed("filters", DType.INT32, stream),), fields, 0


def _images(layer: Layer) -> Fields:
    before, after = layer.shapes
    return ("in", image(before)), ("out", image(after))


def _rest(layer: Layer) -> Fields:
    zero = quant_of(layer.site.tensor(0)).zero_point[0]
    return ("in_zero", zero), ("output", output_range(layer, packed=False))
