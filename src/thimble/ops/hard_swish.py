# SPDX-License-Identifier: Apache-2.0
"""HARD_SWISH: `x * relu6(x + 3) / 6`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, by_table, of_floats, scale_of
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, limits, quant_of, quantize_multiplier, rounding_shift_right
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class HardSwish(Unary):
    OP: ClassVar[str] = "HARD_SWISH"
    OPTIONS: ClassVar[str] = "HardSwishOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        common_type(site, DType.FLOAT32)
        return each(site, "hard_swish_f32", "unary_f32.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """In 16-bit fixed point for 8-bit elements: see `_quantized`.

        Source: tensorflow/lite/micro/kernels/hard_swish_common.cc,
        tensorflow/lite/kernels/internal/reference/hard_swish.h.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT8, DType.UINT8) is DType.FLOAT32:
            six, three = np.float32(6), np.float32(3)
            return of_floats(self.OP, call, lambda x: x * np.minimum(six, np.maximum(np.float32(0), x + three)) / six)
        tensor, out = call.tensor(0), call.outputs[0]
        return by_table(call, lambda x: _quantized(x - quant_of(tensor).zero_point[0], tensor, out))


def _quantized(x: Array, tensor: Tensor, out: Tensor) -> Array:
    """Products of the input in a fine scale and of `relu6(x + 3) / 6`, which is "relu-ish" in [0, 1] of 2**15."""
    fine = np.float32(1 / 128) * scale_of(tensor)
    factor, shift = _multiplier16(float(fine / scale_of(out)))
    slope, exponent = _multiplier16(float(fine / (np.float32(3) / np.float32(32768))))
    x = x * 128
    scaled = _high_multiply16(x, factor)
    gate = _saturated16(x << max(exponent - 1, 0))
    gate = _high_multiply16(gate, slope)
    gate = _saturated16(gate << 1) if exponent > 0 else rounding_shift_right(gate, -exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * scaled
    truncated = np.sign(product) * (np.abs(product) >> 15)
    result = rounding_shift_right(truncated, max(-shift, 0)) + quant_of(out).zero_point[0]
    wrapped = ((result + (1 << 15)) & 0xFFFF) - (1 << 15)  # it is an int16_t
    clamped: Array = np.clip(wrapped, *limits(out.dtype))
    return clamped


def _multiplier16(value: float) -> tuple[int, int]:
    """Mantissa in Q15 and exponent of a real number."""
    mantissa, shift = quantize_multiplier(value)
    return min((mantissa + (1 << 15)) >> 16, (1 << 15) - 1), shift


def _saturated16(x: Array) -> Array:
    clamped: Array = np.clip(x, -(1 << 15), (1 << 15) - 1)
    return clamped


def _high_multiply16(a: Array, b: int) -> Array:
    """SaturatingRoundingDoublingHighMul of int16 values by a positive one."""
    nudged = a * b + np.where(a * b >= 0, 1 << 14, 1 - (1 << 14))
    product: Array = np.sign(nudged) * (np.abs(nudged) >> 15)
    return product
