# SPDX-License-Identifier: Apache-2.0
"""ADD: elementwise sum with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, DType
from thimble.ops.arithmetic import QUANTIZED, accept, plain, summed
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Add(Binary):
    OP: ClassVar[str] = "ADD"
    OPTIONS: ClassVar[str] = "AddOptions"
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = True

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
