# SPDX-License-Identifier: Apache-2.0
"""LOG_SOFTMAX: logarithm of the softmax along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.arithmetic import accept, plain, scale_of
from thimble.ops.elementwise import Unary
from thimble.ops.fixed_point import exp_on_negative, log_from_one
from thimble.ops.lowering import packed
from thimble.ops.numerics import (
    Array,
    Call,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_shift_right,
)
from thimble.ops.reduction import along_last
from thimble.ops.softmax import softmax_scaling


@dataclass(frozen=True, slots=True)
class LogSoftmax(Unary):
    OP: ClassVar[str] = "LOG_SOFTMAX"
    OPTIONS: ClassVar[str] = "LogSoftmaxOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `log_softmax.h`, `softmax_f32.h`.

        Of TFLM's two bounds on differences, that which depends on the sum is left out: at this bound, 2**31 (less half
        a step of the input, at most 2**29) below the sum's logarithm, the rounding gives the lowest value anyway.
        """
        x, out = site.tensor(0), site.outputs[0]
        if x.dtype not in (DType.FLOAT32, DType.INT8) or out.dtype is not x.dtype:
            raise site.unsupported(f"{x.dtype.label} giving {out.dtype.label}; float32 and int8 can be")
        if not out.nbytes:
            return ()
        views, same = (whole(x), whole(out)), ((0, 0),)
        if x.dtype is DType.FLOAT32:
            fields = (*along_last(x), ("beta", 1.0))
            return (KernelCall("log_softmax_f32", "softmax_f32.h", *views, (), "softmax_f32", fields, in_place=same),)
        mantissa, shift = quantize_multiplier(float(scale_of(x)) * (1 << 26))
        if shift < 1:
            raise site.unsupported(f"a scale of {scale_of(x)}, which is too small")
        mantissa, shift, lowest = softmax_scaling(float(scale_of(x)), 1.0)
        below = -np.arange(min(256, 1 - lowest))
        scaled = multiply_by_quantized_multiplier(below, mantissa, shift)
        powers = np.trim_zeros(rounding_shift_right(exp_on_negative(scaled, 5), 12), "b")
        members = (("powers", len(powers)), ("multiplier", mantissa), ("shift", shift), ("furthest", -lowest))
        table = (packed("exponentials", DType.INT32, powers),)
        fields = (*along_last(x), *members)
        return (KernelCall("log_softmax_s8", "log_softmax.h", *views, table, "log_softmax", fields, in_place=same),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """`x - max - log(sum(exp(x - max)))` along the last axis; int8 has scale 1/16 and zero point 127.

        Source: tensorflow/lite/micro/kernels/log_softmax.cc, tensorflow/lite/kernels/internal/reference/log_softmax.h.
        """
        x, out = call.value(0), call.outputs[0]
        if accept(self.OP, call, DType.FLOAT32, DType.INT8) is DType.FLOAT32:
            below = x - x.max(axis=-1, keepdims=True)
            return (plain(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)), out),)
        mantissa, shift, lowest = softmax_scaling(float(scale_of(call.tensor(0))), 1.0)
        below = x.astype(np.int64) - x.max(axis=-1, keepdims=True)
        scaled = multiply_by_quantized_multiplier(np.maximum(below, lowest), mantissa, shift)
        powers = rounding_shift_right(exp_on_negative(scaled, 5), 12)
        total = log_from_one(np.where(below >= lowest, powers, 0).sum(axis=-1, keepdims=True), 12, 5)
        back = quantize_multiplier((1 << (31 - shift)) / mantissa)
        bound = np.maximum(lowest - 1, multiply_by_quantized_multiplier(total - (1 << 31), *back))
        result = np.clip(rounding_shift_right(scaled - total, 22) + 127, -128, 127)
        return (np.where(below > bound, result, -128).astype(np.int8).reshape(out.shape),)
