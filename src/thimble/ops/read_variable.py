# SPDX-License-Identifier: Apache-2.0
"""READ_VARIABLE: value of the variable whose handle is operand 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import key_of, untouched


@dataclass(frozen=True, slots=True)
class ReadVariable(Attrs):
    OP: ClassVar[str] = "READ_VARIABLE"
    OPTIONS: ClassVar[str] = "ReadVariableOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # a handle does not tell what was assigned to it

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The value that was assigned last; the zero point before that.

        Source: tensorflow/lite/micro/kernels/read_variable.cc.
        """
        target = call.outputs[0]
        value = call.state.get(key_of(call.value(0)))
        return (untouched(target) if value is None else value.reshape(target.shape).copy(),)
