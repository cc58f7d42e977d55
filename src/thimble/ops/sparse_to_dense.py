# SPDX-License-Identifier: Apache-2.0
"""SPARSE_TO_DENSE: a tensor of the shape in operand 1 with single elements set; the rest has a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class SparseToDense(Attrs):
    OP: ClassVar[str] = "SPARSE_TO_DENSE"
    OPTIONS: ClassVar[str] = "SparseToDenseOptions"
    validate_indices: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        wanted = integers(operand(inputs, 1, "shape"))
        if wanted is None:
            return None
        require(min(wanted, default=0) >= 0, f"shape {list(wanted)} is not allowed")
        return (wanted,)
