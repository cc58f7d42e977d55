# SPDX-License-Identifier: Apache-2.0
"""Shape rules of the operators that combine all elements along some axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class Reducer(Attrs):
    """The axes of operand 1 (a scalar or a list, repetitions allowed) vanish, or keep extent 1."""

    OPTIONS: ClassVar[str] = "ReducerOptions"
    keep_dims: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, axes = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "axes"))
        if axes is None:
            return None
        # TFLite ignores the axes of a scalar instead of refusing them.
        gone = {axis_of(a, len(x)) for a in axes} if x else set()
        if self.keep_dims:
            return (tuple(1 if i in gone else d for i, d in enumerate(x)),)
        return (tuple(d for i, d in enumerate(x) if i not in gone),)


@dataclass(frozen=True, slots=True)
class ArgReducer(Attrs):
    """The one axis of operand 1 vanishes; the output holds indices of type `output_type`."""

    output_type: DType = DType.INT32

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, axes = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "axis"))
        if axes is None:
            return None
        require(len(axes) == 1, f"{len(axes)} axes are given, 1 is required")
        axis = axis_of(axes[0], len(x))
        return (x[:axis] + x[axis + 1 :],)
