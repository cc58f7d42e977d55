# SPDX-License-Identifier: Apache-2.0
"""Lowering of the operators that multiply int8 activations by int8 weights: which kernel, and weights packed for it.

FULLY_CONNECTED is a convolution by 1 x 1 filters of an image that is one pixel wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Activation, Array, DType, Padding, Shape, Tensor
from thimble.kernel import Fields, KernelCall, Site
from thimble.ops.convolution import Pair, channel_scales, margin
from thimble.ops.lowering import Pairs, batches, channel_table, image, packed
from thimble.ops.numerics import activation_range, quant_of, quantize_multiplier


@dataclass(frozen=True, slots=True)
class Window:
    """How a filter moves over an image; pairs are (rows, columns)."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding.VALID

    def fields(self, shape: Shape) -> Fields:
        """The members that say so in a kernel's parameters, for an input of shape `[N,H,W,C]`."""
        spans = zip(shape[1:3], self.kernel, self.stride, self.dilation, strict=True)
        top, left = (margin(size, kernel, stride, self.padding, dilation) for size, kernel, stride, dilation in spans)
        return (
            ("kernel_h", self.kernel[0]),
            ("kernel_w", self.kernel[1]),
            ("stride_h", self.stride[0]),
            ("stride_w", self.stride[1]),
            ("dilation_h", self.dilation[0]),
            ("dilation_w", self.dilation[1]),
            ("pad_top", top),
            ("pad_left", left),
        )


def output_fields(x: Tensor, output: Tensor, activation: Activation) -> Fields:
    """Zero points, and the range that the activation leaves."""
    low, high = activation_range(activation, output)
    return (
        ("in_zero", quant_of(x).zero_point[0]),
        ("out_zero", quant_of(output).zero_point[0]),
        ("low", low),
        ("high", high),
    )


def multipliers(x: Tensor, weights: Tensor, output: Tensor) -> Pairs:
    """(mantissa, exponent) per output channel, or one for all."""
    return [quantize_multiplier(scale) for scale in channel_scales(x, weights, output)]


def bias_values(site: Site, place: int, count: int) -> Array:
    """The bias, which must be a constant; zeros where there is none."""
    if site.optional(place) is None:
        return np.zeros(count, np.int64)
    tensor = site.constant(place)
    return np.frombuffer(tensor.data or b"", np.dtype(tensor.dtype.label).newbyteorder("<"))[:count].astype(np.int64)


def weight_values(site: Site, place: int) -> Array:
    """Constant weights as an array of their shape."""
    tensor = site.constant(place)
    if tensor.dtype is DType.INT4:
        raise site.unsupported("4-bit weights")
    return np.frombuffer(tensor.data or b"", np.dtype(tensor.dtype.label))[: tensor.elements].reshape(tensor.shape)


def conv_s8(
    site: Site, weights: Array, over: Window, pairs: Pairs, activation: Activation, shapes: tuple[Shape, Shape]
) -> tuple[KernelCall, ...]:
    """A convolution by weights `[O,KH,KW,depth]`, one call per batch; `shapes` are those of input and output, NHWC."""
    x, output = site.tensor(0), site.outputs[0]
    count, _, _, depth = weights.shape
    fields = (
        ("in", image(shapes[0])),
        ("out", image(shapes[1])),
        *over.fields(shapes[0]),
        ("depth", depth),
        ("filters", count // (shapes[0][3] // depth)),
        ("weight_zero", legacy_zero(site)),
        *output_fields(x, output, activation),
    )
    table = channel_table(bias_values(site, 2, count), pairs)
    constants = (packed("weights", DType.INT8, weights), table)
    return tuple(
        KernelCall("conv_2d_s8", "conv_2d_s8.h", (a,), (b,), constants, "conv_2d_s8", fields, rows=shapes[1][1])
        for a, b in zip(batches(x, shapes[0]), batches(output, shapes[1]), strict=True)
    )


def depthwise_s8(site: Site, over: Window, pairs: Pairs, activation: Activation) -> tuple[KernelCall, ...]:
    """A depthwise convolution by weights `[1,KH,KW,C * multiplier]`, one call per batch."""
    x, output = site.tensor(0), site.outputs[0]
    weights = weight_values(site, 1)
    fields = (
        ("in", image(x.shape)),
        ("out", image(output.shape)),
        *over.fields(x.shape),
        ("multiplier", output.shape[3] // x.shape[3]),
        ("weight_zero", legacy_zero(site)),
        *output_fields(x, output, activation),
    )
    table = channel_table(bias_values(site, 2, output.shape[3]), pairs)
    constants = (packed("weights", DType.INT8, weights), table)
    name = "depthwise_conv_2d_s8"
    return tuple(
        KernelCall(name, f"{name}.h", (a,), (b,), constants, name, fields, rows=output.shape[1])
        for a, b in zip(batches(x, x.shape), batches(output, output.shape), strict=True)
    )


def legacy_zero(site: Site) -> int:
    """The weights' zero point where there is one for all; per channel it is 0, or not read."""
    quant = quant_of(site.tensor(1))
    return 0 if quant.per_channel else quant.zero_point[0]
