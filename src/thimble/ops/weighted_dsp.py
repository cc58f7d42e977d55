# SPDX-License-Identifier: Apache-2.0
"""Parameters and constants of the int8 kernels with packed arithmetic: kernels/conv_2d_s8_dsp.h and its neighbours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields
from thimble.ops.lowering import image, packed
from thimble.ops.numerics import activation_range, quant_of
from thimble.ops.requantized import Filters, Kernel, filter_rows, packs, requantizable
from thimble.ops.weighted import Layer

TILE_WORDS = 7
"""Of work space per group of taps: two for each of three patches, and one for a window."""


def suits_depthwise(layer: Layer) -> bool:
    """Whether there is a filter per channel, for four channels or more, and an output of more than one column.

    For a single column it takes longer to turn the input into bands than to multiply.
    """
    before, after = layer.shapes
    return before[3] == layer.channels >= 4 and layer.over.dilation == (1, 1) and after[2] > 1


def output_range(layer: Layer, *, packed: bool) -> Fields:
    """The members of a thimble_output."""
    output = layer.site.outputs[0]
    low, high = activation_range(layer.activation, output)
    positive = int(low >= quant_of(output).zero_point[0])
    return ("low", low), ("high", high), ("positive", positive), ("packed", int(packed))


def scales(layer: Layer, filters: Filters, *, packed: bool) -> Array:
    """Per filter multiplier, constant, and shift with what negative sums add, as kernels/requantize_dsp.h has them."""
    after = quant_of(layer.site.outputs[0]).zero_point[0]
    rows = []
    for mantissa, right in filters.channels:
        tie, shift = (128, right + 7) if packed else (1, right)
        twice = right >= 1  # rounded twice, else once
        constant = ((2 * after + 1) << (shift - 1)) + (tie // 2 if twice else 0)
        rows.append((mantissa, constant, shift - (tie << 8 if twice else 0)))
    return np.array(rows, np.int64)


def depthwise(layer: Layer, filters: Filters) -> Kernel:
    """Weights as in the model; work space for four bands and, for each, the filters twice."""
    before, after = layer.shapes
    (rows, columns), stride = layer.over.kernel, layer.over.stride[1]
    words, versions = columns // 2 + 1, 1 + stride % 2
    last = (after[2] - 1) * stride
    pairs = max(last // 2 + words, (after[2] + 1) // 2 * stride + 1)
    over = dict(layer.over.fields(before))
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *((name, over[name]) for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_top", "pad_left")),
        ("pairs", pairs),
        ("words", words),
        ("filters", versions),
        ("in_zero", quant_of(layer.site.tensor(0)).zero_point[0]),
        ("output", output_range(layer, packed=False)),
    )
    weights = packed("weights", DType.INT8, filters.values.T)
    channels = np.column_stack([wrapped(2 * filters.bias), scales(layer, filters, packed=False)])
    constants = (weights, packed("channels", DType.INT32, channels))
    return "depthwise_conv_2d_s8_dsp", constants, fields, 4 * 4 * rows * (pairs + versions * words * 2)


def conv(layer: Layer) -> Kernel | None:
    """Filters in pairs. Work space for three patches and a window."""
    streams = _streams(layer, 2)
    if streams is None:
        return None
    constant, is_packed = streams
    before, after = layer.shapes
    kernel, depth = layer.over.kernel, layer.weights.shape[3]
    taps = kernel[0] * kernel[1] * depth
    groups = -(-taps // 4)
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(before),
        ("depth", depth),
        ("taps", taps),
        ("groups", groups),
        ("in_zero", quant_of(layer.site.tensor(0)).zero_point[0]),
        ("inside", int(layer.stays_inside)),
        ("output", output_range(layer, packed=is_packed)),
    )
    return "conv_2d_s8_dsp", (constant,), fields, groups * 4 * TILE_WORDS


def fully_connected(layer: Layer) -> Kernel | None:
    """For an output of one pixel whose window is the whole input: filters in fours. Work space for the input."""
    streams = _streams(layer, 4)
    if streams is None:
        return None
    constant, is_packed = streams
    depth = layer.weights[0].size
    groups = -(-depth // 4)
    output = output_range(layer, packed=is_packed)
    fields = (("depth", depth), ("units", layer.channels), ("groups", groups), ("output", output))
    return "fully_connected_s8_dsp", (constant,), fields, groups * 8


def _streams(layer: Layer, block: int) -> tuple[Data, bool] | None:
    """All filters with their biases and scales, `block` at a time and the rest alone; and whether sums are packed."""
    rows = filter_rows(layer)
    filters = requantizable(layer, rows, packs)
    halves = _mixed(filters.values) if filters is not None else None
    if filters is not None and halves is not None:
        words, bias, is_packed = halves, _packed_bias(filters), True
    else:
        filters = requantizable(layer, rows)
        if filters is None:
            return None
        words, bias, is_packed = _grouped(filters.values), 2 * filters.bias, False
    pieces = list(_pieces(words, wrapped(bias), scales(layer, filters, packed=is_packed), block))
    return packed("filters", DType.INT32, np.concatenate(pieces)), is_packed


def _pieces(words: Array, bias: Array, rows: Array, block: int) -> Iterator[Array]:
    """Per block biases, words `[filters,groups]` interleaved, and scales."""
    whole = len(words) // block * block
    starts = [*range(0, whole, block), *range(whole, len(words))]
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        yield from (bias[start:end], words[start:end].T.reshape(-1), rows[start:end].reshape(-1))


def _grouped(filters: Array) -> Array:
    """Filters `[O,taps]` as words `[O,groups]` of four taps, the last one filled up."""
    words: Array = np.frombuffer(_filled(filters).astype(np.int8).tobytes(), "<i4").astype(np.int64)
    return words.reshape(len(filters), -1)


def _mixed(filters: Array) -> Array | None:
    """The same with each two taps as one halfword, 256 times the second plus the first; None where one does not fit."""
    taps = _filled(filters)
    halves = 256 * taps[:, 1::2] + taps[:, 0::2]
    if halves.min(initial=0) < -(1 << 15) or halves.max(initial=0) >= 1 << 15:
        return None
    words: Array = np.frombuffer(halves.astype("<i2").tobytes(), "<i4").astype(np.int64)
    return words.reshape(len(filters), -1)


def _packed_bias(filters: Filters) -> Array:
    """Biases of packed sums: 256 times those of sums, less what the form of the factors adds."""
    taps = _filled(filters.values)
    even, odd = taps[:, 0::2].sum(axis=1), taps[:, 1::2].sum(axis=1)
    bias: Array = 256 * (filters.bias - 128 * odd) - 255 * even
    return bias


def _filled(filters: Array) -> Array:
    """Filters with zeros behind them up to whole words."""
    filled: Array = np.pad(filters, ((0, 0), (0, -filters.shape[1] % 4)))
    return filled


def wrapped(values: Array) -> Array:
    """What int32 keeps."""
    kept: Array = (values.astype(np.int64) + (1 << 31)) % (1 << 32) - (1 << 31)
    return kept
