# SPDX-License-Identifier: Apache-2.0
"""DIV: elementwise quotient with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, centred, plain, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Binary
from thimble.ops.fixed_point import leading_zeros, reciprocal
from thimble.ops.lowering import packed
from thimble.ops.numerics import Array, Call, high_multiply, quantize_multiplier, rounding_shift_right
from thimble.ops.pointwise import common_type, pairwise, plain_f32, plain_s32
from thimble.ops.scaling import bounds, zero_of


@dataclass(frozen=True, slots=True)
class Div(Binary):
    OP: ClassVar[str] = "DIV"
    OPTIONS: ClassVar[str] = "DivOptions"
    fused_activation_function: Activation = Activation.NONE

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `pairwise_plain.h`, `table_8.h`, `div_s8.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        activation = self.fused_activation_function
        dtype = common_type(site, DType.FLOAT32, DType.INT32, DType.INT8)
        if dtype is DType.FLOAT32:
            return plain_f32(site, "div_f32", activation)
        return plain_s32(site, "div_s32", activation) if dtype is DType.INT32 else self._lower_quantized(site)

    def _lower_quantized(self, site: Site) -> tuple[KernelCall, ...]:
        left, right, out = site.tensor(0), site.tensor(1), site.outputs[0]
        factor = float(scale_of(left) / (scale_of(right) * scale_of(out)))
        multiplier, exponent = quantize_multiplier(factor)
        fields = (
            ("a_zero", zero_of(left)),
            ("b_zero", zero_of(right)),
            ("multiplier", multiplier),
            ("exponent", exponent),
            *bounds(out, self.fused_activation_function),
        )
        inverses, _ = reciprocal(np.arange(256), 31)
        table = packed("reciprocals", DType.INT32, inverses)
        return pairwise(site, "div_s8", "div_s8.h", fields, struct="div_s8", constants=(table,))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Quotient; integers without a scale are divided towards zero, int8 by a fixed-point reciprocal.

        Source: tensorflow/lite/micro/kernels/div.cc, tensorflow/lite/kernels/internal/reference/div.h.
        """
        dtype, out = accept(self.OP, call, DType.FLOAT32, DType.INT32, DType.INT8), call.outputs[0]
        if dtype is DType.INT8:
            return (stored(_quotient(call), out, self.fused_activation_function),)
        left, right = call.value(0), call.value(1)
        with np.errstate(all="ignore"):
            quotient = left / right  # of int32 in float64, which is exact enough to be truncated
        return (plain(np.trunc(quotient) if dtype is DType.INT32 else quotient, out, self.fused_activation_function),)


def _quotient(call: Call) -> Array:
    """Quotient of int8 operands in the output's scale; 0 as a divisor is not defined.

    Where the dividend is near its zero point and the multiplier small, TFLM shifts by 32 bits and more, which C
    leaves undefined; here the result is the rounded quotient.
    """
    x, y = np.broadcast_arrays(centred(call, 0), centred(call, 1))
    x, y = x * np.where(y < 0, -1, 1), np.abs(y)
    inverse, shift = reciprocal(y, 31)
    headroom = leading_zeros(np.where(x < 0, ~x, x)) - 1
    unscaled = high_multiply(x << headroom, inverse)
    left, right, result = scale_of(call.tensor(0)), scale_of(call.tensor(1)), scale_of(call.outputs[0])
    mantissa, exponent = quantize_multiplier(float(left / (right * result)))
    total = exponent - shift - headroom
    return rounding_shift_right(high_multiply(unscaled, mantissa), np.clip(-total, 0, 62))
