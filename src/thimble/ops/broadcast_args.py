# SPDX-License-Identifier: Apache-2.0
"""BROADCAST_ARGS: the shape to which two shapes, given as vectors, broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class BroadcastArgs(Attrs):
    OP: ClassVar[str] = "BROADCAST_ARGS"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, y = operand(inputs, 0, "left").shape, operand(inputs, 1, "right").shape
        require(len(x) == 1 and len(y) == 1, f"operands of shape {list(x)} and {list(y)}: two vectors are required")
        return ((max(x[0], y[0]),),)
