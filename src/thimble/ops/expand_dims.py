# SPDX-License-Identifier: Apache-2.0
"""EXPAND_DIMS: the input with an axis of extent 1 inserted where operand 1 says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.lowering import copied
from thimble.ops.movement import MEDIUM, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class ExpandDims(Attrs):
    OP: ClassVar[str] = "EXPAND_DIMS"
    OPTIONS: ClassVar[str] = "ExpandDimsOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, axes = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "axis"))
        if axes is None:
            return None
        require(len(axes) == 1, f"{len(axes)} axes are given, 1 is required")
        axis = axis_of(axes[0], len(x) + 1)
        return ((*x[:axis], 1, *x[axis:]),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `copy.h`."""
        return copied(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The same elements.

        Source: ExpandDimsEval, tensorflow/lite/micro/kernels/expand_dims.cc.
        """
        return shaped(call, moved(call, self.OP, MEDIUM))
