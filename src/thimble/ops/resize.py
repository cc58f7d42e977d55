# SPDX-License-Identifier: Apache-2.0
"""Shape rule of the operators that change the resolution of an image."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class Resize(Attrs):
    """`[N,H,W,C]` to `[N,H',W',C]`, where operand 1 holds `[H',W']`."""

    align_corners: bool = False
    half_pixel_centers: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, size = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "size"))
        require(len(x) == 4, f"the input has {len(x)} dimensions, 4 are required")
        if size is None:
            return None
        require(len(size) == 2 and min(size) > 0, f"size {list(size)} is not allowed, two positive numbers are")
        return ((x[0], *size, x[3]),)
