# SPDX-License-Identifier: Apache-2.0
"""SPACE_TO_BATCH_ND: the axes after the batch are padded, then their blocks move to the batch axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand, padded


@dataclass(frozen=True, slots=True)
class SpaceToBatchND(Attrs):
    """Operands: `[N,spatial...,rest...]`, block `[m]`, paddings `[m,2]`."""

    OP: ClassVar[str] = "SPACE_TO_BATCH_ND"
    OPTIONS: ClassVar[str] = "SpaceToBatchNDOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        block, pads = integers(operand(inputs, 1, "block")), integers(operand(inputs, 2, "paddings"))
        if block is None or pads is None:
            return None
        m = len(block)
        require(len(x) > m and len(pads) == 2 * m, f"{m} block sizes do not go with {list(x)} and {len(pads)} paddings")
        require(min(block, default=1) > 0, f"block {list(block)} must be positive")
        wide = padded(x[1 : m + 1], pads)
        fits = all(d % b == 0 for d, b in zip(wide, block, strict=True))
        require(fits, f"padded extents {list(wide)} do not divide into blocks of {list(block)}")
        return ((x[0] * math.prod(block), *(d // b for d, b in zip(wide, block, strict=True)), *x[m + 1 :]),)
