# SPDX-License-Identifier: Apache-2.0
"""ASSIGN_VARIABLE: stores operand 1 in the variable whose handle is operand 0; no output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import key_of


@dataclass(frozen=True, slots=True)
class AssignVariable(Attrs):
    OP: ClassVar[str] = "ASSIGN_VARIABLE"
    OPTIONS: ClassVar[str] = "AssignVariableOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Keep a copy of operand 1.

        Source: tensorflow/lite/micro/kernels/assign_variable.cc.
        """
        call.state[key_of(call.value(0))] = call.value(1).copy()
        return ()
