# SPDX-License-Identifier: Apache-2.0
"""GATHER: the slices of operand 0 along one axis that operand 1 names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import axis_of, operand


@dataclass(frozen=True, slots=True)
class Gather(Attrs):
    """The first `batch_dims` axes of both operands run in step; both attributes may be negative."""

    OP: ClassVar[str] = "GATHER"
    OPTIONS: ClassVar[str] = "GatherOptions"
    axis: int = 0
    batch_dims: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, where = operand(inputs, 0, "input").shape, operand(inputs, 1, "indices").shape
        axis = axis_of(self.axis, len(x))
        batch = self.batch_dims + len(where) if self.batch_dims < 0 else self.batch_dims
        require(0 <= batch <= min(axis, len(where)), f"{batch} batch axes with axis {axis} and indices {list(where)}")
        require(x[:batch] == where[:batch], f"the first {batch} extents of {list(x)} and {list(where)} must be equal")
        return (x[:axis] + where[batch:] + x[axis + 1 :],)
