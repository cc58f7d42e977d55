# SPDX-License-Identifier: Apache-2.0
"""Lowering of the operators with weights to the general kernels `weighted_{f32,s16,s8}.h`.

For float32, int16 activations (often with the faster kernels of `weighted_s16.py`), 4-bit weights, transposed
convolutions, and int8 weights or biases that are computed; int8 with constant weights has faster kernels, see
`convolve_s8.py`. Weights stay as they are in the model: 4-bit ones take half a byte in flash, and the kernel takes them
apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, Call, DType, Padding, Shape, Tensor
from thimble.kernel import Data, Fields, KernelCall, Site, View, whole
from thimble.ops.convolution import (
    TRANSPOSED_TYPES,
    WITH_WEIGHTS,
    Pair,
    accumulates_wide,
    bias_types,
    channel_scales,
    check_types,
    product_scale,
)
from thimble.ops.lowering import Pairs, image, packed
from thimble.ops.numerics import BOUNDS, activation_range, quant_of, quantize_multiplier
from thimble.ops.weighted import Window
from thimble.ops.weighted_s16 import faster

_KERNELS = {DType.FLOAT32: "weighted_f32", DType.INT16: "weighted_s16", DType.INT8: "weighted_s8"}
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class WideLayer:
    """A layer of windows.

    Attributes:
        places: operand numbers of input, weights and bias.
        shapes: of input and output, NHWC.
        over: how the window moves over the input, or over the output if `transposed`.
        depth: input channels that a filter sees.
        filters: filters that see the same channels.
        strides: elements from one filter's weights to the next one's, and from one tap's to the next.
        activation: the fused one.
        scales: real multipliers from sums to outputs, one or one per filter; not read for floats.
        zeros: zero points that are taken off input and weights.
        wide: whether int16 has 64-bit sums.
        transposed: whether this is a transposed convolution.
    """

    places: tuple[int, int, int]
    shapes: tuple[Shape, Shape]
    over: Window
    depth: int
    filters: int
    strides: tuple[int, int]
    activation: Activation
    scales: Sequence[float] = ()
    zeros: tuple[int, int] = (0, 0)
    wide: bool = False
    transposed: bool = False


def conv_wide(site: Site, over: Window, activation: Activation, declared: DType) -> tuple[KernelCall, ...]:
    """CONV_2D; `declared` is the type of the bias where there is none."""
    x, filters, output = site.tensor(0), site.tensor(1), site.outputs[0]
    wide = checked(site, WITH_WEIGHTS, (0, 1, 2), declared, bias_types(x.dtype))
    count, _, _, depth = filters.shape
    layer = WideLayer(
        places=(0, 1, 2),
        shapes=(x.shape, output.shape),
        over=over,
        depth=depth,
        filters=count // (x.shape[3] // depth),
        strides=(over.kernel[0] * over.kernel[1] * depth, depth),
        activation=activation,
        scales=_channel_scales(x, filters, output),
        zeros=_input_zero(x),
        wide=wide,
    )
    return weighted(site, layer)


def depthwise_wide(site: Site, over: Window, activation: Activation) -> tuple[KernelCall, ...]:
    """DEPTHWISE_CONV_2D: filters of depth one, whose taps lie as far apart as there are output channels."""
    x, filters, output = site.tensor(0), site.tensor(1), site.outputs[0]
    wide = checked(site, WITH_WEIGHTS, (0, 1, 2), DType.INT64, bias_types(x.dtype)[-1:])
    layer = WideLayer(
        places=(0, 1, 2),
        shapes=(x.shape, output.shape),
        over=over,
        depth=1,
        filters=output.shape[3] // x.shape[3],
        strides=(1, output.shape[3]),
        activation=activation,
        scales=_channel_scales(x, filters, output),
        zeros=_input_zero(x),
        wide=wide,
    )
    return weighted(site, layer)


def dense_wide(site: Site, activation: Activation, declared: DType) -> tuple[KernelCall, ...]:
    """FULLY_CONNECTED, as a convolution by 1 x 1 filters of an image one pixel wide with a row per vector."""
    x, weights, output = site.tensor(0), site.tensor(1), site.outputs[0]
    wide = checked(site, WITH_WEIGHTS, (0, 1, 2), declared, bias_types(x.dtype))
    units, depth = weights.shape
    rows, per_channel = x.elements // depth, quant_of(weights).per_channel
    if per_channel and weights.dtype is DType.INT4:
        raise site.unsupported("4-bit weights with several scales, one scale is supported")
    layer = WideLayer(
        places=(0, 1, 2),
        shapes=((1, rows, 1, depth), (1, rows, 1, units)),
        over=Window((1, 1)),
        depth=depth,
        filters=units,
        strides=(depth, depth),
        activation=activation,
        scales=_channel_scales(x, weights, output) if per_channel else (product_scale(x, weights, output),),
        zeros=(quant_of(x).zero_point[0], 0 if per_channel else quant_of(weights).zero_point[0]),
        wide=wide,
    )
    return weighted(site, layer)


def transposed_wide(site: Site, stride: Pair, padding: Padding, activation: Activation) -> tuple[KernelCall, ...]:
    """TRANSPOSE_CONV."""
    filters, x, output = site.tensor(1), site.tensor(2), site.outputs[0]
    biases = (DType.INT16, DType.INT64) if x.dtype is DType.INT16 else bias_types(x.dtype)
    bias = site.optional(3)
    if bias is not None and bias.dtype is DType.INT16 and bias.data is None:
        raise site.unsupported("a computed bias of int16, int64 is supported")
    wide = checked(site, TRANSPOSED_TYPES, (2, 1, 3), DType.INT64, biases)
    count, rows, columns, depth = filters.shape
    layer = WideLayer(
        places=(2, 1, 3),
        shapes=(x.shape, output.shape),
        over=Window((rows, columns), stride, (1, 1), padding),
        depth=depth,
        filters=count,
        strides=(rows * columns * depth, depth),
        activation=activation,
        scales=_channel_scales(x, filters, output),
        zeros=_input_zero(x),
        wide=wide,
        transposed=True,
    )
    return weighted(site, layer)


def _channel_scales(x: Tensor, filters: Tensor, output: Tensor) -> list[float]:
    return [] if x.dtype is DType.FLOAT32 else channel_scales(x, filters, output)


def _input_zero(x: Tensor) -> Pair:
    """Convolutions take a zero point off int8 inputs only."""
    return (quant_of(x).zero_point[0] if x.dtype is DType.INT8 else 0, 0)


def weighted(site: Site, layer: WideLayer) -> tuple[KernelCall, ...]:
    """The call of a layer."""
    x, output = site.tensor(layer.places[0]), site.outputs[0]
    kernel = _KERNELS[x.dtype]
    reads, constants = operands(site, *layer.places[1:])
    if x.dtype is DType.FLOAT32:
        struct = "weighted_f32"
        low, high = float_bounds(layer.activation)
        fields: Fields = (("over", _window(site, layer)), ("low", low), ("high", high))
    else:
        struct = "weighted"
        fields = (("over", _window(site, layer)), *_integer_fields(site, layer))
        constants = (
            *map(_widened, constants),
            packed("scales", DType.INT32, np.array(scale_pairs(site, layer.scales, layer.wide))),
        )
    batch, rows = layer.shapes[1][:2]
    views = (*whole(x), *reads), whole(output)
    call = KernelCall(kernel, f"{kernel}.h", *views, constants, struct, fields, rows=rows, batch=batch)
    return (faster(site, layer, call) if x.dtype is DType.INT16 else call,)


def _window(site: Site, layer: WideLayer) -> Fields:
    before, after = layer.shapes
    return (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(after if layer.transposed else before),
        ("transposed", int(layer.transposed)),
        ("depth", layer.depth),
        ("filters", layer.filters),
        ("filter", layer.strides[0]),
        ("tap", layer.strides[1]),
        ("biased", int(site.optional(layer.places[2]) is not None)),
    )


def _integer_fields(site: Site, layer: WideLayer) -> Fields:
    return (
        ("in_zero", layer.zeros[0]),
        ("weight_zero", layer.zeros[1]),
        *result_fields(site.outputs[0], layer.activation),
        ("scales", 2 if len(layer.scales) > 1 else 0),
        ("wide", int(layer.wide)),
        ("nibbles", int(site.tensor(layer.places[1]).dtype is DType.INT4)),
    )


def result_fields(output: Tensor, activation: Activation = Activation.NONE) -> Fields:
    """The output's zero point, and the range that the activation leaves before it is added."""
    zero = quant_of(output).zero_point[0]
    low, high = activation_range(activation, output)
    return (("out_zero", zero), ("low", low - zero), ("high", high - zero))


def float_bounds(activation: Activation) -> tuple[float, float]:
    """What a fused activation clamps floats to."""
    low, high = BOUNDS.get(activation, (None, None))
    return -LARGEST if low is None else low, LARGEST if high is None else high


def scale_pairs(site: Site, scales: Sequence[float], wide: bool) -> Pairs:
    """Real multipliers as kernels take them: (mantissa, exponent), or for 64-bit sums (15-bit mantissa, right shift).

    Raises:
        UnsupportedOperatorError: a multiplier too large for 64-bit sums.
    """
    pairs = [quantize_multiplier(scale) for scale in scales]
    if not wide:
        return pairs
    if any(shift > 14 for _, shift in pairs):
        raise site.unsupported(f"a factor of {max(scales):g} from 64-bit sums to outputs, less than 16384 is supported")
    return [(min((mantissa + (1 << 15)) >> 16, 0x7FFF), 15 - shift) for mantissa, shift in pairs]


def operands(site: Site, *places: int) -> tuple[tuple[View, ...], tuple[Data, ...]]:
    """Operands that follow each other among a kernel's arguments, as views and as constants in flash.

    Those after the last computed one are in flash. Only the last operand may be missing: an empty constant.
    """
    computed = [index for index, place in enumerate(places) if not fixed(site, place)]
    split = max(computed, default=-1) + 1
    views = tuple(View(site.tensor(place)) for place in places[:split])
    return views, tuple(_flash(site, place) for place in places[split:])


def _flash(site: Site, place: int) -> Data:
    tensor = site.optional(place)
    if tensor is None:
        return Data("nothing", DType.INT8, b"")
    dtype = DType.INT8 if tensor.dtype is DType.INT4 else tensor.dtype
    return Data(f"operand {place}", dtype, (tensor.data or b"")[: tensor.nbytes])


def _widened(data: Data) -> Data:
    """A bias of int16, which goes with 64-bit sums, as int64."""
    return packed(data.name, DType.INT64, np.frombuffer(data.data, "<i2")) if data.dtype is DType.INT16 else data


def fixed(site: Site, *places: int) -> bool:
    """Whether operands are constants or missing."""
    return all(tensor is None or tensor.data is not None for tensor in map(site.optional, places))


@contextmanager
def refused_without_reference(site: Site) -> Iterator[Call]:
    """For checks that a reference makes of types, which fail as those of a lowering; gives the operator without values.

    Raises:
        UnsupportedOperatorError: what the reference refuses, by the operator's name and place.
    """
    try:
        yield Call((None,) * len(site.inputs), site.inputs, site.outputs)
    except UnsupportedOperatorError as error:
        raise site.unsupported(str(error)) from None


def checked(
    site: Site,
    types: Sequence[tuple[DType, ...]],
    places: tuple[int, int, int],
    declared: DType,
    biases: tuple[DType, ...],
) -> bool:
    """Whether sums have 64 bits; `places` are those of input, weights and bias.

    Raises:
        UnsupportedOperatorError: types that the operator's reference does not have.
    """
    if site.tensor(places[0]).dtype not in _KERNELS:
        raise site.unsupported(f"inputs of {site.tensor(places[0]).dtype.label}")
    weights = site.tensor(places[1]).dtype
    if site.tensor(places[0]).dtype is DType.FLOAT32 and weights is not DType.FLOAT32:
        raise site.unsupported(f"dynamic-range quantization (float32 with weights of {weights.label}), nor has TFLM it")
    with refused_without_reference(site) as call:
        check_types(site.label.partition(" ")[0], call, types, *places[:2])
        wide = accumulates_wide(site.label.partition(" ")[0], call, places[2], declared, biases)
    return wide and site.tensor(places[0]).dtype is DType.INT16
