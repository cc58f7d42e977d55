# SPDX-License-Identifier: Apache-2.0
"""SPLIT: operand 1 cut into equal parts along the axis of operand 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import cut, cut_calls, numbers
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import MOST_OUTPUTS, axis_of, integers, operand
from thimble.ops.strided import constant_numbers


@dataclass(frozen=True, slots=True)
class Split(Attrs):
    OP: ClassVar[str] = "SPLIT"
    OPTIONS: ClassVar[str] = "SplitOptions"
    num_splits: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        axes, x = integers(operand(inputs, 0, "axis")), operand(inputs, 1, "input").shape
        if axes is None:
            return None
        require(len(axes) == 1, f"{len(axes)} axes are given, 1 is required")
        axis, parts = axis_of(axes[0], len(x)), self.num_splits
        require(0 < parts <= MOST_OUTPUTS, f"{parts} parts, 1 to {MOST_OUTPUTS} are allowed")
        require(x[axis] % parts == 0, f"axis {axis} of {list(x)} does not divide into {parts} equal parts")
        return ((*x[:axis], x[axis] // parts, *x[axis + 1 :]),) * parts

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        return cut_calls(site, site.tensor(1), constant_numbers(site, 0)[0])

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Equal parts.

        Source: SplitImpl, tensorflow/lite/micro/kernels/split.cc.
        """
        return cut(call, self.OP, 1, numbers(call, 0)[0])
