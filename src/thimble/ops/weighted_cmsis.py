# SPDX-License-Identifier: Apache-2.0
"""Calls into the user's own CMSIS-NN for int8 CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: kernels/cmsis_nn_*.h.

CMSIS-NN computes what TFLM's reference kernels do; what it does not, or would do otherwise, stays portable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from thimble.ir import Array, DType, Shape
from thimble.kernel import Data, Fields, Flavour, KernelCall, whole
from thimble.ops.cmsis_sizes import Pair, Slide, convolve_s8, depthwise_s8, is_row, row_surplus
from thimble.ops.convolution import margin
from thimble.ops.lowering import packed
from thimble.ops.numerics import activation_range, quant_of
from thimble.ops.weighted import Layer, Window, legacy_zero


def conv(layer: Layer) -> tuple[KernelCall, ...] | None:
    """The call for a convolution, as often as there are images; None if CMSIS-NN has none with the same result."""
    if not _suits(layer):
        return None
    layer = _flattened(layer)
    if layer.over.kernel == (1, 1) and layer.shapes[0][1:3] == (1, 1) and len(layer.pairs) == 1:
        return _fully_connected(layer)
    slide, (before, after) = slide_of(layer), layer.shapes
    if is_row(slide, before, layer.weights.shape) and not _whole_row(layer, slide):
        return None
    count = layer.channels
    scratch = work_space(
        layer.site.flavour,
        lambda mve: convolve_s8(slide, before, layer.weights.shape, after, mve=mve),
    )
    fields = (("conv", _parameters(layer, slide)), *_dims(layer, (count, *layer.weights.shape[1:])))
    return _call(layer, "conv_2d", fields, scratch)


def depthwise(layer: Layer) -> tuple[KernelCall, ...] | None:
    """The same for a depthwise convolution."""
    if not _suits(layer):
        return None
    slide, (before, after) = slide_of(layer), layer.shapes
    one = (1, *before[1:])
    scratch = work_space(
        layer.site.flavour,
        lambda mve: depthwise_s8(slide, one, layer.weights.shape, after, dsp=not mve, mve=mve),
    )
    multiplier = (("ch_mult", after[3] // before[3]),)
    fields = (("conv", (*_parameters(layer, slide), *multiplier)), *_dims(layer, layer.weights.shape))
    return _call(layer, "depthwise_conv_2d", fields, scratch)


def _fully_connected(layer: Layer) -> tuple[KernelCall, ...]:
    """All images at once: each is a vector."""
    before, after = layer.shapes
    (mantissa, exponent), count = layer.pairs[0], layer.channels
    values = layer.weights.reshape(count, -1).astype(np.int64)
    in_zero, bias = quant_of(layer.site.tensor(0)).zero_point[0], _wrapped(layer.bias)
    helium = layer.site.flavour is Flavour.CMSIS_NN_MVE
    sums = _wrapped(bias - in_zero * values.sum(axis=1)) if helium else np.zeros(0, np.int64)
    fields: Fields = (
        ("layer", (*_offsets(layer), ("filter_offset", 0))),
        ("quant", (("multiplier", mantissa), ("shift", exponent))),
        ("in", _shape((before[0], 1, 1, before[3]))),
        ("filter", _shape((before[3], 1, 1, count))),
        ("bias", _shape((1, 1, 1, count))),
        ("out", _shape((after[0], 1, 1, count))),
        work_field(layer.site.flavour, 4 * len(sums)),
    )
    constants = (
        packed("weights", DType.INT8, values),
        packed("biases", DType.INT32, bias),
        packed("biases with the zero point", DType.INT32, sums),
    )
    name = "cmsis_nn_fully_connected"
    reads, writes = whole(layer.site.tensor(0)), whole(layer.site.outputs[0])
    return (KernelCall(name, f"{name}.h", reads, writes, constants, name, fields),)


def slide_of(layer: Layer) -> Slide:
    """How the filters move."""
    return slide_over(layer.over, layer.shapes[0])


def slide_over(over: Window, shape: Shape) -> Slide:
    """How a window moves over an input of that shape."""
    spans = zip(shape[1:3], over.kernel, over.stride, (over.along(0), over.along(1)), over.dilation, strict=True)
    before = (margin(*span) for span in spans)
    return Slide(Pair(*over.stride), Pair(*over.dilation), Pair(*before))


def tile(pair: Pair) -> Fields:
    """A `cmsis_nn_tile`."""
    return (("h", pair.h), ("w", pair.w))


def work_space(flavour: Flavour, size: Callable[[bool], int]) -> int:
    """Bytes that a function needs on any core that the flavour is for, by whether it has Helium."""
    return max(size(False), size(True)) if flavour is Flavour.CMSIS_NN_MVE else size(False)


def work_field(flavour: Flavour, size: int) -> tuple[str, Fields]:
    """The member `work` of a kernel's parameters."""
    name = "bytes" if flavour is Flavour.CMSIS_NN_MVE else "bytes_without_helium"
    return ("work", ((name, size),))


def _suits(layer: Layer) -> bool:
    """Whether weights have no zero point, and no sum overflows when it is shifted left."""
    if legacy_zero(layer.site) != 0:
        return False
    filters = np.abs(layer.weights.astype(np.int64))
    most = 255 * int(filters.sum()) + int(np.abs(layer.bias).max(initial=0))
    return all(exponent <= 0 or most << exponent < 1 << 31 for _, exponent in layer.pairs)


def _flattened(layer: Layer) -> Layer:
    """A layer whose filters see all of an image, or images of one column with 1 x 1 filters, as vectors."""
    before, after = layer.shapes
    count = layer.channels
    if after[1:3] == (1, 1) and before[1:] == layer.weights.shape[1:]:
        vectors, depth = before[0], before[1] * before[2] * before[3]
    elif (
        layer.over == Window((1, 1), padding=layer.over.padding, margins=layer.over.margins)
        and before[2] == 1
        and _ungrouped(layer)
    ):
        vectors, depth = before[0] * before[1], before[3]
    else:
        return layer
    shapes = (vectors, 1, 1, depth), (vectors, 1, 1, count)
    weights = layer.weights.reshape(count, 1, 1, depth)
    return replace(layer, weights=weights, over=Window((1, 1)), shapes=shapes)


def _ungrouped(layer: Layer) -> bool:
    return bool(layer.weights.shape[3] == layer.shapes[0][3])


def _whole_row(layer: Layer, slide: Slide) -> bool:
    """Whether windows over one row reach all columns: else the right border is taken for padding, or refused."""
    before, after = layer.shapes
    surplus = row_surplus(slide, before, layer.weights.shape, after)
    return surplus >= 0 and surplus in (2 * slide.padding.w, 2 * slide.padding.w + 1)


def _call(layer: Layer, kernel: str, fields: Fields, scratch: int) -> tuple[KernelCall, ...]:
    pairs = layer.pairs if len(layer.pairs) == layer.channels else [*layer.pairs] * layer.channels
    constants: tuple[Data, ...] = (
        packed("weights", DType.INT8, layer.weights),
        packed("biases", DType.INT32, _wrapped(layer.bias)),
        packed("multipliers", DType.INT32, [mantissa for mantissa, _ in pairs]),
        packed("shifts", DType.INT32, [exponent for _, exponent in pairs]),
    )
    struct = f"cmsis_nn_{kernel}"
    name = struct if scratch else f"{struct}_direct"
    fields = (*fields, work_field(layer.site.flavour, scratch))
    reads, writes = whole(layer.site.tensor(0)), whole(layer.site.outputs[0])
    batch = layer.shapes[0][0]
    return (KernelCall(name, f"{struct}.h", reads, writes, constants, struct, fields, scratch, batch=batch),)


def _parameters(layer: Layer, slide: Slide) -> Fields:
    """The members that a `cmsis_nn_conv_params` and a `cmsis_nn_dw_conv_params` have in common."""
    moves = (("stride", tile(slide.stride)), ("padding", tile(slide.padding)), ("dilation", tile(slide.dilation)))
    return (*_offsets(layer), *moves)


def _offsets(layer: Layer) -> Fields:
    x, output = layer.site.tensor(0), layer.site.outputs[0]
    low, high = activation_range(layer.activation, output)
    return (
        ("input_offset", -quant_of(x).zero_point[0]),
        ("output_offset", quant_of(output).zero_point[0]),
        ("activation", (("min", low), ("max", high))),
    )


def _dims(layer: Layer, filters: Shape) -> Fields:
    before, after = layer.shapes
    return (
        ("in", _shape((1, *before[1:]))),
        ("filter", _shape(filters)),
        ("bias", _shape((1, 1, 1, layer.channels))),
        ("out", _shape((1, *after[1:]))),
    )


def _shape(shape: Shape) -> Fields:
    """A `cmsis_nn_dims`."""
    return tuple(zip("nhwc", shape, strict=True))


def _wrapped(values: Array) -> Array:
    """Numbers as an int32 holds them."""
    return (values.astype(np.int64) + (1 << 31)) % (1 << 32) - (1 << 31)
