# SPDX-License-Identifier: Apache-2.0
"""REVERSE_V2: the input in reverse order along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import WIDE, axis_number, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, integers, operand
from thimble.ops.strided import block, constant_numbers, copies


@dataclass(frozen=True, slots=True)
class ReverseV2(Attrs):
    OP: ClassVar[str] = "REVERSE_V2"
    OPTIONS: ClassVar[str] = "ReverseV2Options"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        for axis in integers(operand(inputs, 1, "axes")) or ():
            axis_of(axis, len(x))
        return (x,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x = block(site.tensor(0))
        for axis in {axis_of(a, len(x.shape)): None for a in constant_numbers(site, 1)}:
            x = x.part(axis, x.shape[axis] - 1, x.shape[axis], -1)
        return copies(site, x, block(site.outputs[0]))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The elements backwards along the axes of operand 1.

        Source: ReverseV2Eval, tensorflow/lite/micro/kernels/reverse.cc.
        """
        x = moved(call, self.OP, (*WIDE, DType.INT64, DType.BOOL))
        return shaped(call, np.flip(x, tuple({axis_number(a, x.ndim) for a in numbers(call, 1)})))
