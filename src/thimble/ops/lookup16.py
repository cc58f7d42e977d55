# SPDX-License-Identifier: Apache-2.0
"""Sigmoid and tanh of int16 as TFLM's reference kernels compute them: a table of 256 entries, interpolated."""

from __future__ import annotations

import numpy as np

from thimble.ops.numerics import Array

# The kernels' table is the sigmoid at multiples of 1/24, in Q16, rounded to the nearest but one higher here.
_HIGHER = (
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46),
    *(49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)


def _table() -> Array:
    table = np.floor((1 << 16) / (1 + np.exp(-np.arange(256) / 24)) + 0.5).astype(np.int64)
    table[list(_HIGHER)] += 1
    table.flags.writeable = False
    return table


SIGMOID_TABLE = _table()


def _scaled(x: Array, multiplier: int, shift: int) -> Array:
    """The operand times three quarters in the table's steps; multiplier 0 stands for a power of two."""
    if multiplier == 0:
        multiplier, shift = 3 << shift, 0
    nudge = 1 << (shift - 1) if shift > 0 else 0
    scaled: Array = (np.asarray(x, np.int64) * multiplier + nudge) >> shift
    return scaled


def _interpolated(magnitude: Array, bits: int, saturated: int) -> Array:
    """Table at `magnitude / 2**bits`, times `2**bits`; `saturated` from the last entry on."""
    index = np.minimum(magnitude >> bits, 254)
    low, high = SIGMOID_TABLE[index], SIGMOID_TABLE[index + 1]
    between = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    return np.where(magnitude >> bits >= 255, saturated, between)


def sigmoid16(x: Array, multiplier: int = 0, shift: int = 0) -> Array:
    """Sigmoid in Q0.15 of values in Q3.12 (or scaled to it by `multiplier / 3 / 2**shift`).

    Source: Logistic, tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h.
    """
    scaled = _scaled(x, multiplier, shift)
    result = _interpolated(np.abs(scaled), 9, 0x7FFF << 10)
    result = np.where(scaled >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
    return (result >> 10).astype(np.int16)


def tanh16(x: Array, multiplier: int = 0, shift: int = 0) -> Array:
    """Tanh in Q0.15 of values in Q3.12 (or scaled to it by `multiplier / 3 / 2**shift`).

    Source: Tanh, tensorflow/lite/kernels/internal/reference/integer_ops/tanh.h.
    """
    scaled = _scaled(x, multiplier, shift)
    result = _interpolated(np.abs(scaled), 8, 0xFFFF << 8)
    result = np.where(scaled >= 0, result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1)
    return (result >> 8).astype(np.int16)
