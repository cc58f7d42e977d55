# SPDX-License-Identifier: Apache-2.0
"""IF: runs one of two graphs, by the boolean operand 0, on the operands after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor


@dataclass(frozen=True, slots=True)
class If(Attrs):
    OP: ClassVar[str] = "IF"
    OPTIONS: ClassVar[str] = "IfOptions"
    then_subgraph_index: int = 0
    else_subgraph_index: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # the graphs decide, and their outputs may differ

    def subgraphs(self) -> tuple[int, ...]:
        return (self.then_subgraph_index, self.else_subgraph_index)
