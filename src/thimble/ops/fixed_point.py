# SPDX-License-Identifier: Apache-2.0
"""Functions of fixed-point numbers as TFLM computes them on int32, vectorised: exp, reciprocal, logistic, tanh, log.

A number with i integer bits is kept as an int64 array of raw values, real times `2**(31 - i)`, in the range of
int32; "Qi" below names such numbers. Constants are the real values, rounded to that format.

Source: gemmlowp, fixedpoint/fixedpoint.h, and tensorflow/lite/kernels/internal/common.h.
"""

from __future__ import annotations

import math

import numpy as np

from thimble.ops.numerics import Array, high_multiply, rounding_shift_right, wrap32

MAX32 = (1 << 31) - 1
MIN32 = -(1 << 31)


def constant(value: float, integer_bits: int = 0) -> int:
    """A real number with so many integer bits."""
    return math.floor(math.ldexp(value, 31 - integer_bits) + 0.5)


def scale_by_power(x: Array, exponent: Array | int) -> Array:
    """Multiply by `2**exponent`: saturating to the left, rounding to the right."""
    power = np.asarray(exponent, np.int64)
    left = np.clip(np.asarray(x, np.int64) << np.maximum(power, 0), MIN32, MAX32)
    return np.where(power >= 0, left, rounding_shift_right(np.asarray(x, np.int64), np.maximum(-power, 0)))


def leading_zeros(x: Array) -> Array:
    """Zero bits before the first one of a uint32; 32 for 0."""
    return 32 - np.frexp(np.asarray(x, np.float64))[1].astype(np.int64)


def exp_on_negative(x: Array, integer_bits: int) -> Array:
    """`exp(x)` in Q0 of a Q`integer_bits` number (at most 5) that is not positive."""
    fraction = 31 - integer_bits
    quarter = 1 << (fraction - 2)
    rest = (x & (quarter - 1)) - quarter
    a = scale_by_power(rest, integer_bits) + (1 << 28)  # in [-1/8, 1/8)
    a2 = high_multiply(a, a)
    a3, a4 = high_multiply(a2, a), high_multiply(a2, a2)
    tail = rounding_shift_right(high_multiply(rounding_shift_right(a4, 2) + a3, constant(1 / 3)) + a2, 1)
    eighth = constant(math.exp(-1 / 8))
    result = eighth + high_multiply(a + tail, eighth)
    remainder = rest - x
    for power in range(-2, integer_bits):
        bit = (remainder >> (fraction + power)) & 1
        result = np.where(bit != 0, high_multiply(result, constant(math.exp(-(2.0**power)))), result)
    return np.where(x == 0, MAX32, result)


def _half_reciprocal(x: Array) -> Array:
    """`2 / (1 + x)` in Q2 for x of Q0 in [0, 1), by three steps of Newton and Raphson."""
    half = (x + MAX32 + 1) // 2  # of the denominator; rounds half up, as neither is negative
    y = constant(48 / 17, 2) + high_multiply(half, constant(-32 / 17, 2))
    for _ in range(3):
        y = y + scale_by_power(high_multiply(y, (1 << 29) - high_multiply(half, y)), 2)
    return y


def one_over_one_plus(x: Array) -> Array:
    """`1 / (1 + x)` in Q0 for x of Q0 in [0, 1)."""
    return scale_by_power(_half_reciprocal(x), 1)


def logistic(x: Array, integer_bits: int) -> Array:
    """`1 / (1 + exp(-x))` in Q0."""
    result = one_over_one_plus(exp_on_negative(-np.abs(x), integer_bits))
    return np.where(x == 0, 1 << 30, np.where(x > 0, result, MAX32 - result))


def tanh(x: Array, integer_bits: int) -> Array:
    """`tanh(x)` in Q0; x has at most 4 integer bits."""
    power = exp_on_negative(-np.abs(x), integer_bits + 1)  # the same raw value is 2 * x with one more bit
    result = scale_by_power(_half_reciprocal(power) - (1 << 29), 2)
    return np.sign(x) * result


def reciprocal(x: Array, integer_bits: int) -> tuple[Array, Array]:
    """`1 / x` of a positive number as (value in Q0 of the number scaled to [1, 2), bits it was scaled down by).

    Source: GetReciprocal.
    """
    headroom = leading_zeros(x)
    return one_over_one_plus(wrap32((x << headroom) - (1 << 31))), integer_bits - headroom


def inverse_sqrt(x: Array) -> tuple[Array, Array]:
    """`1 / sqrt(x)` of integers that are not negative, as (mantissa in Q31, exponent); 0 counts as 1.

    Source: GetInvSqrtQuantizedMultiplierExp.
    """
    value = np.maximum(np.asarray(x, np.int64), 2)
    quarters = np.where(value >= 1 << 29, 1, 0)  # at most one division by 4 below 2**31
    value = np.where(quarters != 0, value // 4, value)
    pairs = (leading_zeros(value) - 1) // 2 - 1
    half = rounding_shift_right((value << (2 * pairs)) >> 1, 1)
    right = 11 + quarters - pairs
    y = np.full(value.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = scale_by_power(high_multiply(high_multiply(y, y), y), 6)
        y = scale_by_power(high_multiply(y, constant(1.5, 3)) - high_multiply(half, cube), 3)
    mantissa = wrap32(high_multiply(y, constant(math.sqrt(0.5))) << np.maximum(-right, 0))
    small = np.asarray(x) <= 1
    return np.where(small, MAX32, mantissa), np.where(small, 0, -np.maximum(right, 0))


def log_from_one(x: Array, integer_bits: int, output_bits: int) -> Array:
    """`log(x)` with `output_bits` integer bits of numbers from 1 on.

    Source: log_x_for_x_greater_than_or_equal_to_1_impl, tensorflow/lite/kernels/internal/reference/log_softmax.h
    and common.h.
    """
    bits = output_bits + 1
    root, root2 = math.sqrt(0.5), 2.0**0.25
    quarter = rounding_shift_right(np.int64(1 << 29), bits)
    zeros_a = leading_zeros(x)
    raw_a = scale_by_power(high_multiply(scale_by_power(x, zeros_a - 1), constant(root)), 1)
    power_a = np.clip(scale_by_power(integer_bits - zeros_a, 31 - bits) + quarter, MIN32, MAX32)
    zeros_b = leading_zeros(high_multiply(x, constant(root))) - 1
    raw_b = scale_by_power(x, zeros_b)
    power_b = np.clip(scale_by_power(integer_bits - zeros_b, 31 - bits) - quarter, MIN32, MAX32)
    r, power = np.minimum(raw_a, raw_b), np.maximum(power_a, power_b)
    centre = constant(1 / root2)
    total = r + centre
    p = (total + 1) // 2
    q = 2 * (r - centre)
    square = high_multiply(q, q)
    numerator = high_multiply(q, r) + high_multiply(high_multiply(q, square), constant(11 / 240 * root2))
    inner = constant(2 / root2 - root2) + q + high_multiply(square, constant(root2 / 20))
    denominator = high_multiply(p, inner) + high_multiply(q, constant(root2 / 4))
    scaled = high_multiply(rounding_shift_right(numerator, bits), one_over_one_plus(denominator))
    return scale_by_power(high_multiply(power, constant(math.log(2.0))) + scaled, bits - output_bits)
