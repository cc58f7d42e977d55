# SPDX-License-Identifier: Apache-2.0
"""CUMSUM: running sum along the axis of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class Cumsum(Attrs):
    OP: ClassVar[str] = "CUMSUM"
    OPTIONS: ClassVar[str] = "CumsumOptions"
    exclusive: bool = False
    reverse: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        for axis in integers(operand(inputs, 1, "axis")) or ():
            axis_of(axis, len(x))
        return (x,)
