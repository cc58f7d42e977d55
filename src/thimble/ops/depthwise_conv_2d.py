# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D: each channel of `[N,H,W,C]` convolved with its own filters `[1,KH,KW,C*multiplier]`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, Padding, Shape, Tensor, require
from thimble.ops.shapes import operand, window


@dataclass(frozen=True, slots=True)
class DepthwiseConv2D(Attrs):
    """The filters decide the multiplier; the attribute `depth_multiplier` repeats it, or is 0."""

    OP: ClassVar[str] = "DEPTHWISE_CONV_2D"
    OPTIONS: ClassVar[str] = "DepthwiseConv2DOptions"
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    depth_multiplier: int = 0
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, filters = operand(inputs, 0, "input").shape, operand(inputs, 1, "filters").shape
        require(len(x) == 4 and len(filters) == 4, "input and filters must have four dimensions")
        require(filters[0] == 1, f"the filters' first extent is {filters[0]}, 1 is required")
        fits = x[3] > 0 and filters[3] % x[3] == 0
        require(fits, f"filters for {filters[3]} channels are not a multiple of {x[3]} input channels")
        rows = window(x[1], filters[1], self.stride_h, self.padding, self.dilation_h_factor)
        cols = window(x[2], filters[2], self.stride_w, self.padding, self.dilation_w_factor)
        return ((x[0], rows, cols, filters[3]),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return outputs[0].elements * math.prod(operand(inputs, 1, "filters").shape[1:3])
