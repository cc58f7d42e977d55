# SPDX-License-Identifier: Apache-2.0
"""Arithmetic that the NumPy references share: TFLM's fixed point, bit for bit, and what a reference is given."""

from __future__ import annotations

import math

import numpy as np

from thimble.ir import Activation, Array, Call, DType, Quant, Tensor

__all__ = ["Array", "Call"]

BOUNDS = {Activation.RELU: (0.0, None), Activation.RELU6: (0.0, 6.0), Activation.RELU_N1_TO_1: (-1.0, 1.0)}
"""What the clamping activations clamp to; None where there is no upper bound."""


def quant_of(tensor: Tensor) -> Quant:
    """The tensor's quantization; scale 1 and zero point 0 where it has none."""
    return tensor.quant or Quant((1.0,), (0,))


def quantize_multiplier(value: float) -> tuple[int, int]:
    """A real multiplier as (mantissa in Q31, exponent): value = mantissa / 2**31 * 2**exponent.

    Source: QuantizeMultiplier, tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    if value == 0:
        return 0, 0
    fraction, shift = math.frexp(value)
    mantissa = math.floor(abs(fraction) * (1 << 31) + 0.5) * (1 if fraction > 0 else -1)  # C's round()
    if mantissa == 1 << 31:
        mantissa, shift = mantissa // 2, shift + 1
    if shift < -31:
        return 0, 0
    return (mantissa, shift) if shift <= 30 else ((1 << 31) - 1, 30)


def high_multiply(a: Array, b: Array | int) -> Array:
    """SaturatingRoundingDoublingHighMul of gemmlowp on int32 values held in int64."""
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    quotient = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))  # C divides towards zero
    return np.where((np.asarray(a) == -(1 << 31)) & (np.asarray(b) == -(1 << 31)), (1 << 31) - 1, quotient)


def rounding_shift_right(x: Array, exponent: Array | int) -> Array:
    """RoundingDivideByPOT of gemmlowp: to nearest, ties away from zero."""
    exponent = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    remainder, threshold = x & mask, (mask >> 1) + (x < 0)
    rounded: Array = (x >> exponent) + (remainder > threshold)
    return rounded


def wrap32(x: Array) -> Array:
    """What int32 arithmetic keeps of a wider result."""
    wrapped: Array = ((np.asarray(x, np.int64) + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
    return wrapped


def multiply_by_quantized_multiplier(x: Array, mantissa: Array | int, shift: Array | int) -> Array:
    """Multiply by mantissa / 2**31 * 2**shift with TFLM's double rounding; int64 values in the range of int32.

    Source: MultiplyByQuantizedMultiplier, tensorflow/lite/kernels/internal/common.cc, without single rounding.
    """
    shift = np.asarray(shift, np.int64)
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    shifted = np.asarray(x, np.int64) << left
    return rounding_shift_right(high_multiply(wrap32(shifted), mantissa), right)


def multiply_wide(x: Array, mantissa: Array | int, shift: Array | int) -> Array:
    """Multiply int64 values below 2**47 by mantissa / 2**31 * 2**shift, of which 15 bits of the mantissa count.

    Source: MultiplyByQuantizedMultiplier for int64, tensorflow/lite/kernels/internal/common.cc.
    """
    mantissa, total = np.asarray(mantissa, np.int64), 15 - np.asarray(shift, np.int64)
    reduced = np.where(mantissa < 0x7FFF0000, (mantissa + (1 << 15)) >> 16, 0x7FFF)
    result = (np.asarray(x, np.int64) * reduced + (np.int64(1) << (total - 1))) >> total
    wrapped: Array = ((result + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)  # int32 arithmetic
    return wrapped


def limits(dtype: DType) -> tuple[int, int]:
    """Smallest and largest value of an integer type."""
    info = np.iinfo(dtype.label)
    return int(info.min), int(info.max)


def activation_range(activation: Activation, tensor: Tensor) -> tuple[int, int]:
    """Quantized range that a fused activation leaves.

    Source: CalculateActivationRangeQuantized, tensorflow/lite/kernels/kernel_util.cc.
    """
    low, high = limits(tensor.dtype)
    quant = quant_of(tensor)
    scale, zero = np.float32(quant.scale[0]), quant.zero_point[0]

    def quantized(real: float) -> int:
        ratio = float(np.float32(real) / scale)
        return zero + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))

    if activation is Activation.RELU:
        return max(low, quantized(0.0)), high
    if activation is Activation.RELU6:
        return max(low, quantized(0.0)), min(high, quantized(6.0))
    if activation is Activation.RELU_N1_TO_1:
        return max(low, quantized(-1.0)), min(high, quantized(1.0))
    return low, high


def activate(x: Array, activation: Activation) -> Array:
    """An activation on floats, all six of them.

    Source: ActivationValFloat, tensorflow/lite/micro/kernels/activation_utils.h. Fused activations of other kernels
    only clamp.
    """
    if activation is Activation.TANH:
        return np.tanh(x)
    if activation is Activation.SIGN_BIT:
        return np.signbit(x).astype(x.dtype)
    low, high = BOUNDS.get(activation, (None, None))
    return x if low is None else np.clip(x, low, high).astype(x.dtype)
