# SPDX-License-Identifier: Apache-2.0
"""TILE: the input repeated along each axis as often as operand 1 says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class Tile(Attrs):
    OP: ClassVar[str] = "TILE"
    OPTIONS: ClassVar[str] = "TileOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, times = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "multiples"))
        if times is None:
            return None
        fits = len(times) == len(x) and min(times, default=0) >= 0
        require(fits, f"multiples {list(times)} do not go with {list(x)}: one per axis, at least 0, is required")
        return (tuple(d * t for d, t in zip(x, times, strict=True)),)
