# SPDX-License-Identifier: Apache-2.0
"""REVERSE_V2: the input in reverse order along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class ReverseV2(Attrs):
    OP: ClassVar[str] = "REVERSE_V2"
    OPTIONS: ClassVar[str] = "ReverseV2Options"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        for axis in integers(operand(inputs, 1, "axes")) or ():
            axis_of(axis, len(x))
        return (x,)
