# SPDX-License-Identifier: Apache-2.0
"""DYNAMIC_UPDATE_SLICE: operand 0 with a block replaced by operand 1, at the position of operand 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.movement import WIDE, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class DynamicUpdateSlice(Attrs):
    OP: ClassVar[str] = "DYNAMIC_UPDATE_SLICE"
    OPTIONS: ClassVar[str] = "DynamicUpdateSliceOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, update = operand(inputs, 0, "input").shape, operand(inputs, 1, "update").shape
        fits = len(x) == len(update) and all(u <= d for u, d in zip(update, x, strict=True))
        require(fits, f"an update of shape {list(update)} does not fit in {list(x)}")
        return (x,)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Operand 1 written over operand 0, moved so far that it lies inside.

        Source: EvalImpl, tensorflow/lite/micro/kernels/dynamic_update_slice.cc.
        """
        x, update = moved(call, self.OP, WIDE).copy(), call.value(1)
        room = [d - u for d, u in zip(x.shape, update.shape, strict=True)]
        begin = [min(max(0, b), r) for b, r in zip(numbers(call, 2), room, strict=True)]
        x[tuple(slice(b, b + u) for b, u in zip(begin, update.shape, strict=True))] = update
        return shaped(call, x)
