# SPDX-License-Identifier: Apache-2.0
"""CONCATENATION: tensors joined along one axis; all other extents are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, Shape, Tensor, require
from thimble.ops.shapes import axis_of, joined, operand


@dataclass(frozen=True, slots=True)
class Concatenation(Attrs):
    OP: ClassVar[str] = "CONCATENATION"
    OPTIONS: ClassVar[str] = "ConcatenationOptions"
    axis: int = 0
    fused_activation_function: Activation = Activation.NONE

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        shapes = [operand(inputs, i, "input").shape for i in range(max(1, len(inputs)))]
        axis = axis_of(self.axis, len(shapes[0]))
        others = {s[:axis] + s[axis + 1 :] for s in shapes}
        same = len(others) == 1 and len({len(s) for s in shapes}) == 1
        require(same, f"shapes {[list(s) for s in shapes]} may differ along axis {axis} only")
        return ((*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :]),)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        return joined(inputs) if self.axis == 0 else None
