# SPDX-License-Identifier: Apache-2.0
"""What LOGISTIC and TANH share: the int8 input in fixed point, and how int16 is scaled for the table."""

from __future__ import annotations

import math

import numpy as np

from thimble.ir import DType
from thimble.kernel import Fields, KernelCall, Site
from thimble.ops.lookup16 import SIGMOID_TABLE, sigmoid16, tanh16
from thimble.ops.lowering import packed
from thimble.ops.numerics import Array, multiply_by_quantized_multiplier, quant_of, quantize_multiplier
from thimble.ops.pointwise import each


def to_q4(x: Array, scale: np.float32) -> tuple[Array, Array]:
    """Centred int8 values in fixed point with 4 integer bits, and -1 or 1 where they are beyond its range, else 0.

    Source: CalculateArithmeticOpDataLogistic, tensorflow/lite/micro/kernels/logistic_common.cc.
    """
    mantissa, shift = quantize_multiplier(float(scale) * (1 << 27))
    radius = math.floor(15.0 * (1 << 27) / 2.0**shift)
    beyond = np.where(x <= -radius, -1, np.where(x >= radius, 1, 0))
    return multiply_by_quantized_multiplier(np.where(beyond == 0, x, 0), mantissa, shift), beyond


def _input_scaling(scale: np.float32, largest_shift: int) -> tuple[int, int]:
    """Multiplier and shift of `sigmoid16` and `tanh16`: 0 and a shift for powers of two, else 15 bits.

    Source: LogisticPrepare and TanhPrepare, tensorflow/lite/micro/kernels/logistic_common.cc and tanh.cc.
    """
    exponent = np.float32(math.log(float(scale))) * (np.float32(1) / np.float32(math.log(2.0)))
    shift = 12 + round(float(exponent))
    if abs(float(exponent) - round(float(exponent))) < 1e-3 and 0 <= shift <= largest_shift:
        return 0, shift
    multiplier, right = float(scale) * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and right <= 30:
        multiplier, right = multiplier * 2.0, right + 1
    return int(multiplier), right


def logistic16(x: Array, scale: np.float32) -> Array:
    """Sigmoid of int16 in steps of 2**-15."""
    return sigmoid16(x, *_input_scaling(scale, 0))


def hyperbolic16(x: Array, scale: np.float32) -> Array:
    """Hyperbolic tangent of int16 in steps of 2**-15."""
    return tanh16(x, *_input_scaling(scale, 1))


def interpolated(site: Site, *, hyperbolic: bool) -> tuple[KernelCall, ...]:
    """LOGISTIC or TANH of int16. Kernels: `sigmoid_s16.h`."""
    step = np.float32(quant_of(site.tensor(0)).scale[0])
    fields = (*_input_fields(*_input_scaling(step, int(hyperbolic))), *(_TANH if hyperbolic else _LOGISTIC))
    table = packed("sigmoid", DType.UINT16, SIGMOID_TABLE)
    return each(site, "sigmoid_s16", "sigmoid_s16.h", fields, struct="sigmoid_s16", constants=(table,))


def _input_fields(multiplier: int, shift: int) -> Fields:
    if multiplier == 0:
        multiplier, shift = 3 << shift, 0
    return ("multiplier", multiplier), ("nudge", 1 << (shift - 1) if shift > 0 else 0), ("shift", shift)


_LOGISTIC = (
    ("bits", 9),
    ("saturated", 0x7FFF << 10),
    ("plus", 1 << 9),
    ("minus", (1 << 25) + (1 << 9) - 1),
    ("right", 10),
)
_TANH = (
    ("bits", 8),
    ("saturated", 0xFFFF << 8),
    ("plus", (1 << 7) - (1 << 23)),
    ("minus", (1 << 23) + (1 << 7) - 1),
    ("right", 8),
)
"""What `sigmoid16` and `tanh16` in `lookup16.py` make of the table, as members of a `thimble_sigmoid_s16_params`."""
