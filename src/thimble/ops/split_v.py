# SPDX-License-Identifier: Apache-2.0
"""SPLIT_V: operand 0 cut along the axis of operand 2 into parts of the sizes in operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import cut, cut_calls, numbers
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, integers, operand
from thimble.ops.strided import constant_numbers


@dataclass(frozen=True, slots=True)
class SplitV(Attrs):
    """One size may be -1 and then takes what the others leave."""

    OP: ClassVar[str] = "SPLIT_V"
    OPTIONS: ClassVar[str] = "SplitVOptions"
    num_splits: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        sizes, axes = integers(operand(inputs, 1, "sizes")), integers(operand(inputs, 2, "axis"))
        if sizes is None or axes is None:
            return None
        require(len(axes) == 1, f"{len(axes)} axes are given, 1 is required")
        require(len(sizes) == self.num_splits, f"{len(sizes)} sizes, the attributes say {self.num_splits}")
        axis = axis_of(axes[0], len(x))
        rest = x[axis] - sum(s for s in sizes if s != -1)
        parts = tuple(rest if s == -1 else s for s in sizes)
        fits = sizes.count(-1) <= 1 and min(parts, default=0) >= 0 and sum(parts) == x[axis]
        require(fits, f"sizes {list(sizes)} do not add up to axis {axis} of {list(x)}")
        return tuple((*x[:axis], part, *x[axis + 1 :]) for part in parts)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        return cut_calls(site, site.tensor(0), constant_numbers(site, 2)[0])

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Parts as long as the outputs.

        Source: SplitImpl, tensorflow/lite/micro/kernels/split_v.cc.
        """
        return cut(call, self.OP, 0, numbers(call, 2)[0])
