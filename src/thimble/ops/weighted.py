# SPDX-License-Identifier: Apache-2.0
"""What the lowerings of the operators with weights share: windows, multipliers, biases, constant weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Activation, Array, DType, Padding, Shape, Tensor
from thimble.kernel import Fields, Site
from thimble.ops.convolution import Pair, channel_scales, margin
from thimble.ops.lowering import Pairs
from thimble.ops.numerics import quant_of, quantize_multiplier
from thimble.ops.shapes import Along, along


@dataclass(frozen=True, slots=True)
class Window:
    """How a filter moves over an image; pairs are (rows, columns)."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding.VALID
    margins: tuple[int, ...] = ()

    def along(self, axis: int) -> Along:
        """Padding of rows (0) or columns (1)."""
        return along(axis, self.padding, self.margins)

    def fields(self, shape: Shape) -> Fields:
        """The members that say so in a kernel's parameters, for an input of shape `[N,H,W,C]`."""
        pads = self.along(0), self.along(1)
        spans = zip(shape[1:3], self.kernel, self.stride, pads, self.dilation, strict=True)
        top, left = (margin(*span) for span in spans)
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


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution to be lowered: all that its kernels' parameters and constants are made from.

    `weights` are `[O,KH,KW,depth]`, for a depthwise convolution `[1,KH,KW,O]`; `pairs` are the multipliers, one per
    output channel or one for all; `shapes` are those of input and output, NHWC.
    """

    site: Site
    weights: Array
    over: Window
    pairs: Pairs
    activation: Activation
    shapes: tuple[Shape, Shape]

    @property
    def channels(self) -> int:
        return self.shapes[1][3]

    @property
    def bias(self) -> Array:
        return bias_values(self.site, 2, self.channels)

    @property
    def stays_inside(self) -> bool:
        """Whether all taps of all windows are in the image."""
        (_, *before, _), (_, *after, _) = self.shapes
        fields = dict(self.over.fields(self.shapes[0]))
        spans = zip(before, after, self.over.kernel, self.over.stride, self.over.dilation, strict=True)
        reaches = ((n - 1) * stride + (taps - 1) * dilation < size for size, n, taps, stride, dilation in spans)
        return fields["pad_top"] == fields["pad_left"] == 0 and all(reaches)


def legacy_zero(site: Site) -> int:
    """The weights' zero point where there is one for all; per channel it is 0, or not read."""
    quant = quant_of(site.tensor(1))
    return 0 if quant.per_channel else quant.zero_point[0]
