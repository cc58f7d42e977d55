# SPDX-License-Identifier: Apache-2.0
"""MUL: elementwise product with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, DType
from thimble.kernel import KernelCall, Site
from thimble.ops import cmsis_nn
from thimble.ops.arithmetic import QUANTIZED, accept, centred, plain, rescaled, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, plain_f32, plain_s32
from thimble.ops.scaling import product


@dataclass(frozen=True, slots=True)
class Mul(Binary):
    OP: ClassVar[str] = "MUL"
    OPTIONS: ClassVar[str] = "MulOptions"
    fused_activation_function: Activation = Activation.NONE

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `pairwise_plain.h`, `table_8.h`, `pairwise_scaled.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        activation = self.fused_activation_function
        dtype = common_type(site, DType.FLOAT32, DType.INT32, *QUANTIZED)
        if dtype is DType.FLOAT32:
            return plain_f32(site, "mul_f32", activation)
        if dtype is DType.INT32:
            return plain_s32(site, "mul_s32", activation)
        return cmsis_nn.multiplied(site, activation) or product(site, activation)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Product, rescaled to the output; int32 without a scale wraps around.

        Source: tensorflow/lite/micro/kernels/mul_common.cc,
        tensorflow/lite/kernels/internal/reference/integer_ops/mul.h.
        """
        dtype = accept(self.OP, call, DType.FLOAT32, DType.INT32, *QUANTIZED)
        out = call.outputs[0]
        if dtype not in QUANTIZED:
            return (plain(call.value(0) * call.value(1), out, self.fused_activation_function),)
        left, right, result = (float(scale_of(t)) for t in (call.tensor(0), call.tensor(1), out))
        product = rescaled(centred(call, 0) * centred(call, 1), left * right / result)
        return (stored(product, out, self.fused_activation_function),)
