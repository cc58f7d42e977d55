# SPDX-License-Identifier: Apache-2.0
"""DEPTHWISE_CONV_2D: each channel of `[N,H,W,C]` convolved with its own filters `[1,KH,KW,C*multiplier]`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from thimble.ir import OURS, Activation, Attrs, DType, Padding, Rows, Shape, Sliding, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.convolution import (
    WITH_WEIGHTS,
    accumulates_wide,
    bias_types,
    check_types,
    convolved,
    data_and_filters,
    taps,
)
from thimble.ops.convolve_s8 import depthwise_s8
from thimble.ops.numerics import Array, Call
from thimble.ops.rows import sliding, window_rows
from thimble.ops.shapes import Along, along, operand, window
from thimble.ops.weighted import Layer, Window, multipliers, weight_values
from thimble.ops.weighted_wide import depthwise_wide, fixed


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
    margins: tuple[int, ...] = field(default=(), metadata=OURS)  # (top, bottom, left, right) in place of `padding`

    def along(self, axis: int) -> Along:
        """Padding of rows (0) or columns (1)."""
        return along(axis, self.padding, self.margins)

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, filters = operand(inputs, 0, "input").shape, operand(inputs, 1, "filters").shape
        require(len(x) == 4 and len(filters) == 4, "input and filters must have four dimensions")
        require(filters[0] == 1, f"the filters' first extent is {filters[0]}, 1 is required")
        fits = x[3] > 0 and filters[3] % x[3] == 0
        require(fits, f"filters for {filters[3]} channels are not a multiple of {x[3]} input channels")
        rows = window(x[1], filters[1], self.stride_h, self.along(0), self.dilation_h_factor)
        cols = window(x[2], filters[2], self.stride_w, self.along(1), self.dilation_w_factor)
        return ((x[0], rows, cols, filters[3]),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return outputs[0].elements * math.prod(operand(inputs, 1, "filters").shape[1:3])

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        return window_rows(self, inputs, output)

    def sliding(self, inputs: tuple[Tensor | None, ...]) -> Sliding | None:
        x, filters = operand(inputs, 0, "input"), operand(inputs, 1, "filters")
        kernel, stride = (filters.shape[1], filters.shape[2]), (self.stride_h, self.stride_w)
        dilation = (self.dilation_h_factor, self.dilation_w_factor)
        return sliding(x, kernel, stride, (self.along(0), self.along(1)), dilation)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: those of `convolve_s8.py`, or of `weighted_wide.py` for other types."""
        x, filters, output = site.tensor(0), site.tensor(1), site.outputs[0]
        stride, dilation = (self.stride_h, self.stride_w), (self.dilation_h_factor, self.dilation_w_factor)
        over = Window((filters.shape[1], filters.shape[2]), stride, dilation, self.padding, self.margins)
        if (x.dtype, filters.dtype) == (DType.INT8, DType.INT8) and fixed(site, 1, 2):
            pairs, shapes = multipliers(x, filters, output), (x.shape, output.shape)
            layer = Layer(site, weight_values(site, 1), over, pairs, self.fused_activation_function, shapes)
            return depthwise_s8(layer)
        return depthwise_wide(site, over, self.fused_activation_function)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Output channel `c * multiplier + m` is input channel c under its filter m.

        Source: reference_integer_ops::DepthwiseConvPerChannel and reference_ops::DepthwiseConv,
        tensorflow/lite/kernels/internal/reference/integer_ops/depthwise_conv.h and reference/depthwiseconv_float.h.
        """
        check_types(self.OP, call, WITH_WEIGHTS, 0, 1)
        biases = bias_types(call.tensor(0).dtype)[-1:]  # beside int16 the kernel reads int64 whatever the bias says
        wide = accumulates_wide(self.OP, call, 2, DType.INT64, biases)
        x, filters = data_and_filters(call, 0, 1)
        x = np.repeat(x, filters.shape[3] // x.shape[3], axis=3)
        stride, dilation = (self.stride_h, self.stride_w), (self.dilation_h_factor, self.dilation_w_factor)
        sums = np.zeros(call.outputs[0].shape)
        for (row, col), cells in taps(x, filters.shape[1:3], stride, self.padding, dilation, margins=self.margins):
            sums += cells * filters[0, row, col]
        return (convolved(call, sums, (0, 1, 2), self.fused_activation_function, wide=wide),)
