# SPDX-License-Identifier: Apache-2.0
"""SLICE: the block of operand 0 that starts at operand 1 and has the extents of operand 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class Slice(Attrs):
    """An extent of -1 takes all that is left of its axis."""

    OP: ClassVar[str] = "SLICE"
    OPTIONS: ClassVar[str] = "SliceOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        begin, size = integers(operand(inputs, 1, "begin")), integers(operand(inputs, 2, "size"))
        if begin is None or size is None:
            return None
        require(len(begin) == len(size) == len(x), f"{len(begin)} starts and {len(size)} extents for {list(x)}")
        block = tuple(d - b if s == -1 else s for d, b, s in zip(x, begin, size, strict=True))
        fits = all(b >= 0 and s >= 0 and b + s <= d for d, b, s in zip(x, begin, block, strict=True))
        require(fits, f"a block of {list(size)} from {list(begin)} lies outside {list(x)}")
        return (block,)
