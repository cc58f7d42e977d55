# SPDX-License-Identifier: Apache-2.0
"""REVERSE_V2: the input in reverse order along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.ops.movement import WIDE, axis_number, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class ReverseV2(Attrs):
    OP: ClassVar[str] = "REVERSE_V2"
    OPTIONS: ClassVar[str] = "ReverseV2Options"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        for axis in integers(operand(inputs, 1, "axes")) or ():
            axis_of(axis, len(x))
        return (x,)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The elements backwards along the axes of operand 1.

        Source: ReverseV2Eval, tensorflow/lite/micro/kernels/reverse.cc.
        """
        x = moved(call, self.OP, (*WIDE, DType.INT64, DType.BOOL))
        return shaped(call, np.flip(x, tuple({axis_number(a, x.ndim) for a in numbers(call, 1)})))
