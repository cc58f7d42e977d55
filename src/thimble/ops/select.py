# SPDX-License-Identifier: Apache-2.0
"""SELECT: each element (or each first-axis slice) from operand 1 or 2, by the booleans of operand 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class Select(Attrs):
    """The condition has the values' shape, or is a scalar, or a vector along their first axis."""

    OP: ClassVar[str] = "SELECT"
    OPTIONS: ClassVar[str] = "SelectOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        condition = operand(inputs, 0, "condition").shape
        x, y = operand(inputs, 1, "if true").shape, operand(inputs, 2, "if false").shape
        require(x == y, f"values of shape {list(x)} and {list(y)}: one shape for both is required")
        require(condition in (x, (), x[:1]), f"a condition of shape {list(condition)} does not select among {list(x)}")
        return (x,)
