# SPDX-License-Identifier: Apache-2.0
"""EMBEDDING_LOOKUP: the rows of operand 1 that the vector operand 0 names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class EmbeddingLookup(Attrs):
    OP: ClassVar[str] = "EMBEDDING_LOOKUP"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        rows, table = operand(inputs, 0, "rows").shape, operand(inputs, 1, "table").shape
        fits = len(rows) == 1 and len(table) >= 2
        require(fits, f"rows {list(rows)} and table {list(table)}: a vector and two dimensions or more are required")
        return (rows + table[1:],)
