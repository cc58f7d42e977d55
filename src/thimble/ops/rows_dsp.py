# SPDX-License-Identifier: Apache-2.0
"""Rows of a matrix as kernels/sums_dsp.h multiplies them by a vector: in fours, with biases, packed or doubled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields
from thimble.ops.lowering import packed
from thimble.ops.numerics import wrap32
from thimble.ops.requantized import Channel, doubles, packs

FOUR = 4
"""Rows that are multiplied at a time, and taps in a word."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """A matrix whose sums are scaled by one multiplication each.

    Attributes:
        data: for each four rows their biases and words, in flash.
        fields: the members of a thimble_rows_dsp.
        scales: per multiplier (mantissa, constant, last word) as in kernels/requantize_dsp.h.
        work_space: bytes of the vector as the kernel needs it.
    """

    data: Data
    fields: Fields
    scales: Array
    work_space: int


def rows_dsp(name: str, matrix: Array, bias: Array, pairs: Sequence[Pair]) -> Rows | None:
    """A matrix `[rows,taps]` with biases `[rows]`, to be scaled to int16 by multipliers that rows have in turn.

    Returns None where sums may be too large for these kernels, or a multiplier is.
    """
    taps = matrix.shape[1]
    filled = np.pad(matrix.astype(np.int64), ((0, -len(matrix) % FOUR), (0, -taps % FOUR)))
    biases = np.pad(bias.astype(np.int64), (0, -len(matrix) % FOUR))
    even, odd = filled[:, 0::2], filled[:, 1::2]
    halves = 256 * odd + even
    mixed = bool(np.all((halves >= -(1 << 15)) & (halves < 1 << 15))) and _fit(packs, matrix, bias, pairs)
    if mixed:
        words = np.frombuffer(halves.astype("<i2").tobytes(), "<i4")
        biases = 256 * (biases - 128 * odd.sum(axis=1)) - 255 * even.sum(axis=1)
    elif _fit(doubles, matrix, bias, pairs):
        words = np.frombuffer(filled.astype(np.int8).tobytes(), "<i4")
        biases = 2 * biases
    else:
        return None
    groups = filled.shape[1] // FOUR
    blocks = words.reshape(-1, FOUR, groups).transpose(0, 2, 1).reshape(-1, FOUR * groups)
    data = packed(name, DType.INT32, np.concatenate([wrap32(biases).reshape(-1, FOUR), blocks], axis=1))
    output: Fields = (("low", -(1 << 15)), ("high", (1 << 15) - 1), ("positive", 0), ("packed", int(mixed)))
    fields = (("depth", taps), ("groups", groups), ("output", output))
    return Rows(data, fields, np.array([_scale(pair, mixed=mixed) for pair in pairs]), 8 * groups)


def _fit(fits: Callable[[Channel], bool], matrix: Array, bias: Array, pairs: Sequence[Pair]) -> bool:
    ends = np.stack([matrix * np.int64(-128), matrix * np.int64(127)])
    least, most = bias + ends.min(axis=0).sum(axis=1), bias + ends.max(axis=0).sum(axis=1)
    reach = np.abs(matrix.astype(np.int64)).sum(axis=1) * 128 + np.abs(bias)
    rows = zip(least.tolist(), most.tolist(), reach.tolist(), strict=True)
    return all(fits(Channel(pairs[i % len(pairs)], (low, high), far)) for i, (low, high, far) in enumerate(rows))


def _scale(pair: Pair, *, mixed: bool) -> tuple[int, int, int]:
    mantissa, right = pair[0], -pair[1]
    tie, shift = (128, right + 7) if mixed else (1, right)
    twice = right >= 1  # rounded twice, else once
    return mantissa, (1 << (shift - 1)) + (tie // 2 if twice else 0), shift - (tie << 8 if twice else 0)
