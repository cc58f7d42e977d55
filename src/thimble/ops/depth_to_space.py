# SPDX-License-Identifier: Apache-2.0
"""DEPTH_TO_SPACE: `[N,H,W,C]` to `[N,H*b,W*b,C/b**2]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class DepthToSpace(Attrs):
    OP: ClassVar[str] = "DEPTH_TO_SPACE"
    OPTIONS: ClassVar[str] = "DepthToSpaceOptions"
    block_size: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, b = operand(inputs, 0, "input").shape, self.block_size
        require(len(x) == 4, f"the input has {len(x)} dimensions, 4 are required")
        require(b > 0 and x[3] % (b * b) == 0, f"{x[3]} channels do not divide into blocks of {b} x {b}")
        return ((x[0], x[1] * b, x[2] * b, x[3] // (b * b)),)
