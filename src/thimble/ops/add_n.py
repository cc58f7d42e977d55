# SPDX-License-Identifier: Apache-2.0
"""ADD_N: elementwise sum of any number of tensors of one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class AddN(Attrs):
    OP: ClassVar[str] = "ADD_N"
    OPTIONS: ClassVar[str] = "AddNOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        shapes = [operand(inputs, i, "input").shape for i in range(max(1, len(inputs)))]
        require(len(set(shapes)) == 1, f"the shapes {[list(s) for s in shapes]} differ, one for all is required")
        return (shapes[0],)
