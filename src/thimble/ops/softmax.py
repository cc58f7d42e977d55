# SPDX-License-Identifier: Apache-2.0
"""SOFTMAX: `exp(beta * x)` along the last axis, divided by its sum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType, Tensor
from thimble.kernel import KernelCall, Site, whole
from thimble.ops import cmsis_nn
from thimble.ops.arithmetic import plain, scale_of, unsupported
from thimble.ops.elementwise import Unary
from thimble.ops.fixed_point import exp_on_negative, leading_zeros, reciprocal
from thimble.ops.lowering import packed
from thimble.ops.numerics import (
    Array,
    Call,
    high_multiply,
    limits,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_shift_right,
)
from thimble.ops.reduction import along_last, row_length


@dataclass(frozen=True, slots=True)
class Softmax(Unary):
    OP: ClassVar[str] = "SOFTMAX"
    OPTIONS: ClassVar[str] = "SoftmaxOptions"
    beta: float = 0.0

    def reference(self, call: Call) -> tuple[Array, ...]:
        """8 bit in fixed point (int16 as a result too), int16 by two tables.

        Source: tensorflow/lite/micro/kernels/softmax.cc and softmax_common.cc,
        tensorflow/lite/kernels/internal/reference/softmax.h.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        if (tensor.dtype, out.dtype) not in _TYPES:
            raise unsupported(self.OP, (tensor, out))
        x = call.value(0)
        if tensor.dtype is DType.FLOAT32:
            powers = np.exp((x - x.max(axis=-1, keepdims=True)) * np.float32(self.beta))
            return (plain(powers / powers.sum(axis=-1, keepdims=True), out),)
        below = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
        if tensor.dtype is DType.INT16:
            return (_by_tables(below, float(scale_of(tensor)) * float(np.float32(self.beta))).reshape(out.shape),)
        powers = self._powers(below, tensor)
        inverse, over = reciprocal(rounding_shift_right(powers, 12).sum(axis=-1, keepdims=True), 12)
        result = rounding_shift_right(high_multiply(inverse, powers), over + 31 - out.dtype.bits)
        low, high = limits(out.dtype)
        return (np.clip(result + low, low, high).astype(out.dtype.label).reshape(out.shape),)

    def _powers(self, below: Array, tensor: Tensor) -> Array:
        """Exponentials in Q0 of 8-bit elements, by their differences to the largest one."""
        mantissa, shift, lowest = softmax_scaling(float(scale_of(tensor)), float(np.float32(self.beta)))
        scaled = multiply_by_quantized_multiplier(np.maximum(below, lowest), mantissa, shift)
        return np.where(below >= lowest, exp_on_negative(scaled, 5), 0)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `softmax.h`, `softmax_s16.h`, `softmax_f32.h`."""
        x, out = site.tensor(0), site.outputs[0]
        types = (x.dtype, out.dtype)
        if types not in _TYPES:
            pairs = ", ".join(f"{a.label} giving {b.label}" for a, b in _TYPES)
            raise site.unsupported(f"{x.dtype.label} giving {out.dtype.label}; supported are {pairs}")
        if not out.nbytes:
            return ()
        if x.dtype is DType.FLOAT32:
            fields = (*along_last(x), ("beta", float(np.float32(self.beta))))
            name = "softmax_f32"
            return (KernelCall(name, f"{name}.h", whole(x), whole(out), (), name, fields, in_place=((0, 0),)),)
        return self._of_tables(site) if x.dtype is DType.INT16 else self._of_bytes(site)

    def _of_bytes(self, site: Site) -> tuple[KernelCall, ...]:
        x, out = site.tensor(0), site.outputs[0]
        if not scales_differences(float(scale_of(x)), float(np.float32(self.beta))):
            raise site.unsupported(f"a scale of {scale_of(x)}, which is too small")
        theirs = cmsis_nn.softmax(site, softmax_scaling(float(scale_of(x)), float(np.float32(self.beta))))
        if theirs is not None:
            return theirs
        powers = np.trim_zeros(self._powers(-np.arange(256), x), "b")
        low, high = limits(out.dtype)
        fields = (("powers", len(powers)), ("right", 31 - out.dtype.bits), ("low", low), ("high", high))
        table = (packed("exponentials", DType.INT32, powers),)
        name = {DType.INT8: "softmax_s8", DType.INT16: "softmax_s8_s16", DType.UINT8: "softmax_u8"}[out.dtype]
        same = ((0, 0),) if out.dtype is x.dtype else ()
        members = (*along_last(x), *fields)
        return (KernelCall(name, "softmax.h", whole(x), whole(out), table, "softmax", members, in_place=same),)

    def _of_tables(self, site: Site) -> tuple[KernelCall, ...]:
        x, out = site.tensor(0), site.outputs[0]
        if row_length(x) > _LONGEST_OF_TABLES:
            raise site.unsupported(f"int16 rows of more than {_LONGEST_OF_TABLES} elements")
        mantissa, shift = _table_steps(float(scale_of(x)) * float(np.float32(self.beta)))
        exps, inverses = _tables()
        tables = packed("exponentials", DType.INT16, exps), packed("reciprocals", DType.INT16, inverses)
        members = (*along_last(x), ("multiplier", mantissa), ("shift", shift))
        name = "softmax_s16"
        return (KernelCall(name, f"{name}.h", whole(x), whole(out), tables, name, members, in_place=((0, 0),)),)


_LONGEST_OF_TABLES = 1 << 16
"""Elements of a row whose exponentials of 15 bits surely add up to an int32."""

_TYPES = (
    (DType.FLOAT32, DType.FLOAT32),
    (DType.INT8, DType.INT8),
    (DType.INT8, DType.INT16),
    (DType.INT16, DType.INT16),
    (DType.UINT8, DType.UINT8),
)


def softmax_scaling(scale: float, beta: float) -> tuple[int, int, int]:
    """Multiplier (mantissa, exponent) of differences to Q5, and the least difference that counts.

    Source: PreprocessSoftmaxScaling and CalculateInputRadius, tensorflow/lite/kernels/internal/quantization_util.cc.
    """
    mantissa, shift = quantize_multiplier(min(beta * scale * (1 << 26), (1 << 31) - 1.0))
    return mantissa, shift, -math.floor(31.0 * (1 << 26) / (1 << shift))


def scales_differences(scale: float, beta: float) -> bool:
    """Whether a scale is such that TFLM's arithmetic on differences does not overflow."""
    return quantize_multiplier(beta * scale * (1 << 26))[1] >= 0


def _by_tables(below: Array, scale: float) -> Array:
    """Softmax of int16 differences to the largest element.

    Source: SoftmaxInt16, tensorflow/lite/kernels/internal/reference/softmax.h.
    """
    exps, inverses = _tables()
    scaled = multiply_by_quantized_multiplier(below, *_table_steps(scale))
    powers = _look_up(np.clip(scaled + 32767, -32768, 32767), exps)
    total = powers.sum(axis=-1, keepdims=True)
    headroom = leading_zeros(total)
    shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
    inverse = _look_up(np.clip(shifted - (1 << 15) - (1 << 16), -32768, 32767), inverses)
    right = 31 - headroom
    result: Array = np.clip((powers * inverse + (np.int64(1) << (right - 1))) >> right, 0, 32767)
    return result.astype(np.int16)


def _table_steps(scale: float) -> tuple[int, int]:
    """Multiplier (mantissa, exponent) of differences to the steps of the exponentials' table."""
    return quantize_multiplier(scale / (10.0 / 65535.0))


def _tables() -> tuple[Array, Array]:
    """exp(x) over [-10, 0] and 1 / (1 + x) over [0, 1]."""
    span, one = np.float32(65535), np.float32(1)
    exps = _table(lambda v: np.exp(v.astype(np.float64)).astype(np.float32), np.float32(10) / span, 32767)
    return exps, _table(lambda v: one / (one + v), one / span, -32768)


def _table(function: Callable[[Array], Array], scale: np.float32, zero: int) -> Array:
    """513 values in Q15 of a function of int16; each is moved by half the error in the middle of its interval.

    Source: LUTPopulateInt16, tensorflow/lite/kernels/internal/common.h.
    """
    low, high = scale * np.float32(-32768 - zero), scale * np.float32(32767 - zero)
    step = (high - low) / np.float32(512)
    out = np.float32(2) / np.float32(65535)
    factor = np.float32(65536) / (out * np.float32(32767) - out * np.float32(-32768))
    index = np.arange(512).astype(np.float32)
    start = low + index * step
    value = _rounded(function(start) * factor)
    following = function(low + (index + np.float32(1)) * step) * factor
    middle = _rounded(function(start + step / np.float32(2)) * factor)
    bias = _rounded((_rounded((following + value) / np.float32(2)) - middle) / np.float32(2))
    last = _rounded(function(np.array([high])) * factor)
    table: Array = np.clip(np.concatenate([value - bias, last]), -32768, 32767)
    return table.astype(np.int64)


def _rounded(x: Array) -> Array:
    """C's round() of floats."""
    return np.copysign(np.floor(np.abs(x.astype(np.float64)) + 0.5), x).astype(np.float32)


def _look_up(x: Array, table: Array) -> Array:
    """Linear interpolation in a table of 513 entries over int16."""
    index = 256 + (x >> 7)
    slope = table[index + 1] - table[index]
    result: Array = table[index] + ((slope * (x & 0x7F) + 64) >> 7)
    return result
