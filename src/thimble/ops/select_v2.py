# SPDX-License-Identifier: Apache-2.0
"""SELECT_V2: each element from operand 1 or 2, by the booleans of operand 0; all three broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.shapes import broadcast, operand


@dataclass(frozen=True, slots=True)
class SelectV2(Attrs):
    OP: ClassVar[str] = "SELECT_V2"
    OPTIONS: ClassVar[str] = "SelectV2Options"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        names = ("condition", "if true", "if false")
        return (broadcast(*(operand(inputs, i, what).shape for i, what in enumerate(names))),)
