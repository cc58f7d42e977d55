# SPDX-License-Identifier: Apache-2.0
"""SUB: elementwise difference with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, DType
from thimble.ops.arithmetic import QUANTIZED, accept, plain, summed
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Sub(Binary):
    OP: ClassVar[str] = "SUB"
    OPTIONS: ClassVar[str] = "SubOptions"
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = True

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Difference, rescaled to the output; int32 without a scale.

        Source: tensorflow/lite/micro/kernels/sub.cc and sub_common.cc,
        tensorflow/lite/kernels/internal/reference/sub.h.
        """
        dtype = accept(self.OP, call, DType.FLOAT32, DType.INT32, *QUANTIZED)
        if dtype in QUANTIZED:
            return summed(call, -1, self.fused_activation_function)
        activation = self.fused_activation_function
        return (plain(call.value(0) - call.value(1), call.outputs[0], activation),)
