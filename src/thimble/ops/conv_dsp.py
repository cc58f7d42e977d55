# SPDX-License-Identifier: Apache-2.0
"""CONV_2D and FULLY_CONNECTED on int8 with packed arithmetic: which kernel, by work space and instructions.

Per kernel: pixels times filters at once, and work space in words per group of four taps of a window.

| kernel | at once | words per group | |
|---|---|---|---|
| conv_2d_s8_dsp | 3 x 2 | 6, and 1 for a window that is gathered byte by byte | |
| conv_2d_s8_strip_dsp | 2 x 2 or 1 x 4 | 2 per group of the columns under the windows | undilated columns |
| fully_connected_s8_dsp | 1 x 4 | 2 | one window, the whole input |
| conv_2d_s8_walk_dsp | 1 x 4 | none, but for a list of where cells are | cells of whole words |
| pointwise_s8_walk_dsp | 1 x 4 | none | filters of 1 x 1, cells of whole words |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields
from thimble.ops.lowering import image, packed
from thimble.ops.numerics import quant_of
from thimble.ops.requantized import Kernel, filter_rows
from thimble.ops.weighted import Layer
from thimble.ops.weighted_dsp import output_range, streams

TILE, PAIR, UNIT, WALK = (17.4 / 6, 11), (13.4 / 4, 11), (14.4 / 4, 13), (17.5 / 4, 16)
"""Instructions of each kernel for a group of taps and a result, and for a result besides.

Source: fitted to what the emulator counts (mps2-an386, GCC -O2), as are those below.
"""
SPREAD = 8.5
"""For a group that is spread out."""
TILE_GATHER, STRIP_GATHER = 2.5, 10
"""For a tap of it, where cells are no whole words."""
MOVE = 4
"""For a group of the strip that moves."""
ROW = 25
"""For a row of a window."""
RUN = 4
"""For a run of cells and a filter."""
RUN_BYTES = 12
"""Of work space for a run of cells."""


@dataclass(frozen=True, slots=True)
class Way:
    """A kernel that can compute a layer: its work space, about how many instructions a pixel takes, how to make it."""

    work_space: int
    instructions: float
    make: Callable[[Layer], Kernel | None]


def conv(layer: Layer) -> Kernel | None:
    """The fastest kernel among those whose work space the site allows; None where none of them can be used."""
    if filter_rows(layer) is None:
        return None
    ways = [way for way in _ways(layer) if layer.site.allows(way.work_space)]
    return min(ways, key=lambda way: way.instructions).make(layer) if ways else None


def stays_in_place(kernel: str) -> bool:
    """Whether a pixel is read before any part of it is written."""
    return kernel in ("conv_2d_s8_dsp", "conv_2d_s8_strip_dsp")


def _ways(layer: Layer) -> Iterator[Way]:
    rows, columns = layer.over.kernel
    (_, _, _, depth), (_, _, width, channels) = layer.shapes
    taps = rows * columns * depth
    groups, whole = -(-taps // 4), depth % 4 == 0

    def sums(kernel: tuple[float, float], groups: int = groups) -> float:
        return channels * (kernel[0] * groups + kernel[1])

    if is_vector(layer):
        yield Way(8 * groups, sums(UNIT) + SPREAD * groups, _fully_connected)
    else:
        spread = SPREAD * groups + ROW * rows + (0 if whole else TILE_GATHER * taps)
        yield Way(_tile_bytes(layer), sums(TILE) + spread, _tile)
    if not is_vector(layer) and layer.over.dilation[1] == 1:
        column, fresh, shared = _strip(layer)
        spread = (SPREAD * column + ROW * rows + (0 if whole else STRIP_GATHER * rows * depth)) * fresh
        both = sums(PAIR, column * columns) * -(-width // 2) * 2 / width
        yield Way(_strip_bytes(layer, 2), both + spread + MOVE * column * shared / 2, _strip_of_two)
        one = sums(UNIT, column * columns)
        yield Way(_strip_bytes(layer, 1), one + spread + MOVE * column * shared, _strip_of_one)
    if whole and layer.over.kernel == (1, 1):
        yield Way(0, sums(WALK), _pointwise_walk)
    elif whole and layer.over.dilation[1] == 1:
        yield Way(_run_bytes(layer), sums(WALK) + RUN * rows * channels, _walk)


def is_vector(layer: Layer) -> bool:
    """Whether filters see the whole input, which is one pixel or, without padding, just as large as they are."""
    before, after = layer.shapes
    return after[1:3] == (1, 1) and before[1:] == layer.weights.shape[1:]


def _images(layer: Layer) -> Fields:
    before, after = layer.shapes
    return ("in", image(before)), ("out", image(after))


def _zero(layer: Layer) -> int:
    return quant_of(layer.site.tensor(0)).zero_point[0]


def _gathers(layer: Layer) -> bool:
    """Whether windows are copied byte by byte before they are spread out."""
    columns, depth = layer.over.kernel[1], layer.weights.shape[3]
    dense = columns == 1 or layer.over.dilation[1] == 1
    return not dense or columns * depth % 4 != 0 or (not layer.stays_inside and depth % 4 != 0)


def _tile_bytes(layer: Layer) -> int:
    return -(-int(layer.weights[0].size) // 4) * 4 * (7 if _gathers(layer) else 6)


def _tile(layer: Layer) -> Kernel | None:
    """Filters in pairs, windows of three pixels."""
    found = streams(layer, filter_rows(layer), 2)
    if found is None:
        return None
    constant, is_packed = found
    taps = layer.weights[0].size
    fields = (
        *_images(layer),
        *layer.over.fields(layer.shapes[0]),
        ("depth", layer.weights.shape[3]),
        ("taps", taps),
        ("groups", -(-taps // 4)),
        ("in_zero", _zero(layer)),
        ("inside", int(layer.stays_inside)),
        ("output", output_range(layer, packed=is_packed)),
    )
    return "conv_2d_s8_dsp", (constant,), fields, _tile_bytes(layer)


def _strip(layer: Layer) -> tuple[int, int, int]:
    """Groups in a column of a window, and columns that a window has of its own and shares with the one before."""
    rows, columns = layer.over.kernel
    shared = max(columns - layer.over.stride[1], 0)
    return -(-rows * layer.weights.shape[3] // 4), columns - shared, shared


def _strip_bytes(layer: Layer, pixels: int) -> int:
    column, fresh, shared = _strip(layer)
    return 8 * column * (shared + pixels * fresh) + (4 * column if layer.weights.shape[3] % 4 else 0)


def _strip_of_two(layer: Layer) -> Kernel | None:
    return _strip_of(layer, 2)


def _strip_of_one(layer: Layer) -> Kernel | None:
    return _strip_of(layer, 1)


def _strip_of(layer: Layer, pixels: int) -> Kernel | None:
    """Filters in pairs for two pixels, in fours for one; their taps column by column, each filled up."""
    found = streams(layer, _column_rows(layer), 4 // pixels)
    if found is None:
        return None
    constant, is_packed = found
    column, _, shared = _strip(layer)
    fields = (
        *_images(layer),
        *layer.over.fields(layer.shapes[0]),
        ("depth", layer.weights.shape[3]),
        ("column", column),
        ("shared", shared),
        ("pixels", pixels),
        ("in_zero", _zero(layer)),
        ("output", output_range(layer, packed=is_packed)),
    )
    return "conv_2d_s8_strip_dsp", (constant,), fields, _strip_bytes(layer, pixels)


def _column_rows(layer: Layer) -> Array:
    """Filters as `[O,taps]`, columns first, each with zeros behind it up to whole groups."""
    columns = layer.weights.transpose(0, 2, 1, 3).reshape(layer.channels, layer.over.kernel[1], -1)
    filled: Array = np.pad(columns, ((0, 0), (0, 0), (0, -columns.shape[2] % 4))).astype(np.int64)
    return filled.reshape(layer.channels, -1)


def _fully_connected(layer: Layer) -> Kernel | None:
    """Filters in fours over one window, the whole input."""
    found = streams(layer, filter_rows(layer), 4)
    if found is None:
        return None
    constant, is_packed = found
    depth = layer.weights[0].size
    groups = -(-depth // 4)
    output = output_range(layer, packed=is_packed)
    fields = (("depth", depth), ("units", layer.channels), ("groups", groups), ("output", output))
    return "fully_connected_s8_dsp", (constant,), fields, groups * 8


def _pointwise_walk(layer: Layer) -> Kernel | None:
    """Filters in fours over one pixel, without work space."""
    found = streams(layer, filter_rows(layer), 4)
    if found is None:
        return None
    constant, is_packed = found
    stride = layer.over.stride
    fields = (
        *_images(layer),
        ("stride_h", stride[0]),
        ("stride_w", stride[1]),
        ("groups", layer.weights.shape[3] // 4),
        ("output", output_range(layer, packed=is_packed)),
    )
    return "pointwise_s8_walk_dsp", (constant,), fields, 0


def _walk(layer: Layer) -> Kernel | None:
    """Filters in fours over one window; zero points for cells outside the image are in flash."""
    found = streams(layer, filter_rows(layer), 4)
    if found is None:
        return None
    constant, is_packed = found
    (rows, columns), depth = layer.over.kernel, layer.weights.shape[3]
    fields = (
        *_images(layer),
        *layer.over.fields(layer.shapes[0]),
        ("cell", depth // 4),
        ("groups", rows * columns * depth // 4),
        ("inside", int(layer.stays_inside)),
        ("output", output_range(layer, packed=is_packed)),
    )
    constants: tuple[Data, ...] = (constant, packed("outside", DType.INT8, [_zero(layer)] * (columns * depth)))
    return "conv_2d_s8_walk_dsp", constants, fields, _run_bytes(layer)


def _run_bytes(layer: Layer) -> int:
    """For the most runs that a window may have: per row one in the image, and one before it or behind it, or both."""
    rows, columns = layer.over.kernel
    runs = 1 if layer.stays_inside else 2 if columns <= layer.shapes[0][2] else 3
    return RUN_BYTES * runs * rows
