# SPDX-License-Identifier: Apache-2.0
"""ADD: elementwise sum with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, DType
from thimble.kernel import KernelCall, Site
from thimble.ops import cmsis_nn
from thimble.ops.arithmetic import QUANTIZED, accept, plain, summed
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Binary
from thimble.ops.linear_sum import lowered_sum
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, plain_f32, plain_s32


@dataclass(frozen=True, slots=True)
class Add(Binary):
    OP: ClassVar[str] = "ADD"
    OPTIONS: ClassVar[str] = "AddOptions"
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = True

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `pairwise_plain.h`, `table_8.h`, `sum_s8.h`, `pairwise_scaled.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        activation = self.fused_activation_function
        dtype = common_type(site, DType.FLOAT32, DType.INT32, *QUANTIZED)
        if dtype is DType.FLOAT32:
            return plain_f32(site, "add_f32", activation)
        if dtype is DType.INT32:
            return plain_s32(site, "add_s32")
        return cmsis_nn.added(site, activation) or lowered_sum(site, self, 1, activation)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sum, rescaled to the output; int32 without a scale.

        Source: tensorflow/lite/micro/kernels/add.cc and add_common.cc,
        tensorflow/lite/kernels/internal/reference/add.h.
        """
        dtype = accept(self.OP, call, DType.FLOAT32, DType.INT32, *QUANTIZED)
        if dtype in QUANTIZED:
            return summed(call, 1, self.fused_activation_function)
        activation = Activation.NONE if dtype is DType.INT32 else self.fused_activation_function  # as TFLM does
        return (plain(call.value(0) + call.value(1), call.outputs[0], activation),)
