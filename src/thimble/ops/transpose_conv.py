# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE_CONV: the reverse of a convolution, `[N,H,W,C]` with filters `[O,KH,KW,C]` and an optional bias `[O]`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, Attrs, DType, Padding, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.convolution import (
    TRANSPOSED_TYPES,
    accumulates_wide,
    bias_types,
    check_types,
    convolved,
    data_and_filters,
    margin,
)
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand, window
from thimble.ops.weighted_wide import transposed_wide


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

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `weighted_f32.h`, `weighted_s16.h`, `weighted_s8.h`."""
        return transposed_wide(site, (self.stride_h, self.stride_w), self.padding, self.fused_activation_function)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Each input cell adds its filters to the output, a stride apart; what falls outside is dropped.

        Source: reference_integer_ops::TransposeConv and reference_ops::TransposeConv,
        tensorflow/lite/kernels/internal/reference/integer_ops/transpose_conv.h and reference/transpose_conv.h.
        """
        check_types(self.OP, call, TRANSPOSED_TYPES, 2, 1)
        kinds = (DType.INT16, DType.INT64) if call.tensor(2).dtype is DType.INT16 else bias_types(call.tensor(2).dtype)
        wide = accumulates_wide(self.OP, call, 3, DType.INT64, kinds)
        x, filters = data_and_filters(call, 2, 1)
        (batch, height, width, _), (depth, rows, cols, _) = x.shape, filters.shape
        shape, down, across = call.outputs[0].shape, self.stride_h, self.stride_w
        top = margin(shape[1], rows, down, self.padding)
        left = margin(shape[2], cols, across, self.padding)
        reach = (max(top + shape[1], (height - 1) * down + rows), max(left + shape[2], (width - 1) * across + cols))
        canvas = np.zeros((batch, *reach, depth))
        for row in range(rows):
            for col in range(cols):
                ys = slice(row, row + (height - 1) * down + 1, down)
                xs = slice(col, col + (width - 1) * across + 1, across)
                canvas[:, ys, xs] += x @ filters[:, row, col].T
        sums = canvas[:, top : top + shape[1], left : left + shape[2]]
        return (convolved(call, sums, (2, 1, 3), self.fused_activation_function, wide=wide),)
