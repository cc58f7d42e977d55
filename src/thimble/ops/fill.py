# SPDX-License-Identifier: Apache-2.0
"""FILL: the scalar operand 1 repeated over the shape that operand 0 holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class Fill(Attrs):
    OP: ClassVar[str] = "FILL"
    OPTIONS: ClassVar[str] = "FillOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        wanted = integers(operand(inputs, 0, "shape"))
        if wanted is None:
            return None
        require(min(wanted, default=0) >= 0, f"shape {list(wanted)} is not allowed")
        return (wanted,)
