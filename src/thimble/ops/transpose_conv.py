# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE_CONV: the reverse of a convolution, `[N,H,W,C]` with filters `[O,KH,KW,C]` and an optional bias `[O]`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, DType, Padding, Shape, Tensor, require
from thimble.ops.shapes import integers, operand, window


@dataclass(frozen=True, slots=True)
class TransposeConv(Attrs):
    """Operand 0 holds the output's shape, of which the matching convolution must give the input's rows and columns."""

    OP: ClassVar[str] = "TRANSPOSE_CONV"
    OPTIONS: ClassVar[str] = "TransposeConvOptions"
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    fused_activation_function: Activation = Activation.NONE
    quantized_bias_type: DType = DType.FLOAT32

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        wanted = integers(operand(inputs, 0, "output shape"))
        filters, x = operand(inputs, 1, "filters").shape, operand(inputs, 2, "input").shape
        require(len(x) == 4 and len(filters) == 4, "input and filters must have four dimensions")
        require(x[3] == filters[3], f"{x[3]} input channels, the filters are for {filters[3]}")
        if wanted is None:
            return None
        require(len(wanted) == 4, f"the output shape {list(wanted)} must have four dimensions")
        rows = window(wanted[1], filters[1], self.stride_h, self.padding)
        cols = window(wanted[2], filters[2], self.stride_w, self.padding)
        right = (x[0], rows, cols, filters[0]) == (wanted[0], x[1], x[2], wanted[3])
        require(right, f"{list(x)} with filters {list(filters)} does not give {list(wanted)}")
        return (wanted,)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return operand(inputs, 2, "input").elements * math.prod(operand(inputs, 1, "filters").shape[:3])
