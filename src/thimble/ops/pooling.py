# SPDX-License-Identifier: Apache-2.0
"""Shape rule of the operators that slide a window over rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, Padding, Shape, Tensor, require
from thimble.ops.shapes import operand, window


@dataclass(frozen=True, slots=True)
class Pool2D(Attrs):
    """`[N,H,W,C]` to `[N,H',W',C]`."""

    OPTIONS: ClassVar[str] = "Pool2DOptions"
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    filter_width: int = 1
    filter_height: int = 1
    fused_activation_function: Activation = Activation.NONE

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        require(len(x) == 4, f"the input has {len(x)} dimensions, 4 are required")
        rows = window(x[1], self.filter_height, self.stride_h, self.padding)
        cols = window(x[2], self.filter_width, self.stride_w, self.padding)
        return ((x[0], rows, cols, x[3]),)
