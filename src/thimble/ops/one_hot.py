# SPDX-License-Identifier: Apache-2.0
"""ONE_HOT: a new axis of `depth` elements, one of them set by the index in operand 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class OneHot(Attrs):
    """Operands: indices, depth, value where set, value elsewhere. Axis -1 appends the new axis."""

    OP: ClassVar[str] = "ONE_HOT"
    OPTIONS: ClassVar[str] = "OneHotOptions"
    axis: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, depth = operand(inputs, 0, "indices").shape, integers(operand(inputs, 1, "depth"))
        if depth is None:
            return None
        require(len(depth) == 1 and depth[0] >= 0, f"depth {list(depth)} is not allowed, one number of at least 0 is")
        axis = axis_of(self.axis, len(x) + 1)
        return ((*x[:axis], depth[0], *x[axis:]),)
