# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED: vectors of `[...,C]` times weights `[units,C]`, plus an optional bias `[units]`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.convolution import (
    WITH_WEIGHTS,
    accumulates_wide,
    bias_types,
    centred,
    channel_scales,
    check_types,
    clamped,
    product_scale,
    requantized,
    with_bias,
)
from thimble.ops.convolve_s8 import conv_s8
from thimble.ops.numerics import Array, Call, quant_of, quantize_multiplier
from thimble.ops.shapes import operand
from thimble.ops.weighted import Layer, Window, weight_values
from thimble.ops.weighted_wide import dense_wide, fixed


class WeightsFormat(enum.Enum):
    """Order of the weights; values follow the schema's FullyConnectedOptionsWeightsFormat."""

    DEFAULT = 0
    SHUFFLED4X16INT8 = 1


@dataclass(frozen=True, slots=True)
class FullyConnected(Attrs):
    """Without `keep_num_dims` the output is `[batch,units]`, where the batch is what the elements amount to."""

    OP: ClassVar[str] = "FULLY_CONNECTED"
    OPTIONS: ClassVar[str] = "FullyConnectedOptions"
    fused_activation_function: Activation = Activation.NONE
    weights_format: WeightsFormat = WeightsFormat.DEFAULT
    keep_num_dims: bool = False
    asymmetric_quantize_inputs: bool = False
    quantized_bias_type: DType = DType.FLOAT32

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, weights = operand(inputs, 0, "input"), operand(inputs, 1, "weights").shape
        require(len(weights) == 2, f"the weights have {len(weights)} dimensions, 2 are required")
        units, depth = weights
        if self.keep_num_dims:
            fits = x.shape[-1:] == (depth,)
            require(fits, f"the input's last extent must be {depth}, its shape is {list(x.shape)}")
            return ((*x.shape[:-1], units),)
        fits = depth > 0 and x.elements % depth == 0
        require(fits, f"{x.elements} input elements do not divide into vectors of {depth}")
        return ((x.elements // depth, units),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return outputs[0].elements * operand(inputs, 1, "weights").shape[-1]

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: those of CONV_2D, on an image one pixel wide with a row per vector."""
        x, weights, output = site.tensor(0), site.tensor(1), site.outputs[0]
        units, depth = weights.shape
        rows = x.elements // depth
        if (x.dtype, weights.dtype) == (DType.INT8, DType.INT8) and fixed(site, 1, 2):
            per_channel = quant_of(weights).per_channel
            scales = channel_scales(x, weights, output) if per_channel else [product_scale(x, weights, output)]
            pairs = [quantize_multiplier(scale) for scale in scales]
            filters = weight_values(site, 1).reshape(units, 1, 1, depth)
            shapes = (1, rows, 1, depth), (1, rows, 1, units)
            return conv_s8(Layer(site, filters, Window((1, 1)), pairs, self.fused_activation_function, shapes))
        return dense_wide(site, self.fused_activation_function, self.quantized_bias_type)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """With several scales the weights' zero points are not read.

        Source: reference_integer_ops::FullyConnected and FullyConnectedPerChannel, reference_ops::FullyConnected,
        tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h and reference/fully_connected.h.
        """
        check_types(self.OP, call, WITH_WEIGHTS, 0, 1)
        x, weights, output = call.tensor(0), call.tensor(1), call.outputs[0]
        wide = accumulates_wide(self.OP, call, 2, self.quantized_bias_type, bias_types(x.dtype))
        per_channel = quant_of(weights).per_channel
        if per_channel and weights.dtype is DType.INT4:
            raise UnsupportedOperatorError(f"{self.OP}: there is no reference for int4 weights with several scales")
        matrix = call.value(1).astype(np.float64) if per_channel else centred(call, 1)
        vectors = centred(call, 0).reshape(-1, matrix.shape[1])
        sums = with_bias((vectors @ matrix.T).reshape(output.shape), call, 2)
        if x.dtype is DType.FLOAT32:
            return (clamped(sums, self.fused_activation_function),)
        scales = channel_scales(x, weights, output) if per_channel else [product_scale(x, weights, output)]
        wide = wide and x.dtype is DType.INT16
        return (requantized(sums, scales, output, self.fused_activation_function, wide=wide),)
