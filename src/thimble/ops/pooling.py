# SPDX-License-Identifier: Apache-2.0
"""Shape rule and windows of the operators that slide a window over rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, Attrs, DType, Padding, Shape, Tensor, require
from thimble.ops.convolution import taps
from thimble.ops.numerics import Array
from thimble.ops.shapes import operand, window

POOLED = ((DType.FLOAT32,), (DType.INT8,), (DType.INT16,), (DType.UINT8,))
"""Types that have a reference; uint8 is LiteRT's, the others are TFLM's."""


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

    def cells(self, x: Array, fill: float = 0) -> Iterator[Array]:
        """For each tap of the window the cells `[N,H',W',C]` under it, `fill` outside the input."""
        kernel, stride = (self.filter_height, self.filter_width), (self.stride_h, self.stride_w)
        return (cells for _, cells in taps(x, kernel, stride, self.padding, fill=fill))

    def summed(self, x: Array) -> Array:
        """Sums `[N,H',W',C]` over the window."""
        return np.asarray(reduce(np.add, self.cells(x)))
