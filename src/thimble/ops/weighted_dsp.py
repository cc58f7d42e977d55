# SPDX-License-Identifier: Apache-2.0
"""Parameters and constants that the int8 kernels with packed arithmetic share: filters, biases and scales."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields
from thimble.ops.lowering import packed
from thimble.ops.numerics import activation_range, quant_of
from thimble.ops.requantized import Filters, packs, requantizable
from thimble.ops.weighted import Layer


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


def streams(layer: Layer, rows: Array | None, block: int) -> tuple[Data, bool] | None:
    """All filters `[O,taps]` with biases and scales, `block` at a time and the rest alone; whether sums are packed."""
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
