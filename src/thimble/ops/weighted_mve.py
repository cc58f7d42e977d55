# SPDX-License-Identifier: Apache-2.0
"""Parameters and constants of the int8 kernels with Helium: kernels/conv_2d_s8_mve.h and its neighbour."""

from __future__ import annotations

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields
from thimble.ops.lowering import image, packed
from thimble.ops.numerics import activation_range, quant_of
from thimble.ops.requantized import Filters, Kernel
from thimble.ops.weighted import Layer

SIXTEEN = (0, 4, 8, 12, 2, 6, 10, 14, 1, 5, 9, 13, 3, 7, 11, 15)
"""Channels in the order in which widening every other lane, twice, leaves them."""
LANES = 16
CHUNK = 16
"""Filters whose sums are requantized together."""
POINTER_BYTES = 8
"""Room for a pointer wherever the bundle runs; four bytes on the cores that have Helium."""


def suits_depthwise(layer: Layer, filters: Filters) -> bool:
    """Whether the products of two taps fit in an int16: no weight of -128."""
    return layer.shapes[0][3] == layer.channels and bool(filters.values.min(initial=0) > -128)


def conv(layer: Layer, filters: Filters) -> Kernel:
    """Filters as in the model. Work space for sums of three chunks of filters, and windows."""
    before, after = layer.shapes
    taps = filters.values.shape[1]
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(before),
        ("depth", before[3]),
        ("taps", taps),
        ("in_zero", quant_of(layer.site.tensor(0)).zero_point[0]),
        ("output", _output(layer)),
    )
    columns = _columns(filters, 4)
    scales = columns[1:].reshape(2, -1, 4).transpose(1, 0, 2)
    channels = packed("channels", DType.INT32, np.concatenate([columns[0], scales.reshape(-1)]))
    constants = (packed("weights", DType.INT8, filters.values), channels)
    return "conv_2d_s8_mve", constants, fields, _conv_scratch(layer, direct=taps == before[3]) or 8


def _conv_scratch(layer: Layer, *, direct: bool) -> int:
    """Bytes of work space; windows of one pixel are copied where a row's last ones are done with the next row's."""
    height, width, channels = layer.shapes[1][1:]
    taps = layer.weights.size // channels
    if (height, width) == (1, 1):
        return 0 if direct else taps
    windows = 3 if not direct else 0 if height == 1 or width % 3 == 0 else 2
    return 3 * CHUNK * 4 + windows * taps


def depthwise(layer: Layer, filters: Filters) -> Kernel:
    """Weights in blocks of channels. Work space for a pointer per tap, and zero points."""
    before, after = layer.shapes
    channels, taps = filters.values.shape
    run = LANES // channels if LANES % channels == 0 and layer.over.stride[1] == 1 else 1
    lanes = Filters(np.tile(filters.values, (run, 1)), np.tile(filters.bias, run), filters.channels * run)
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(before),
        ("run", run),
        ("rest", LANES if run > 1 else channels % LANES),
        ("in_zero", quant_of(layer.site.tensor(0)).zero_point[0]),
        ("output", _output(layer)),
    )
    starts = range(0, channels * run, LANES)
    weights = np.concatenate([lanes.values[at : at + LANES].T.reshape(-1) for at in starts])
    constants = (packed("weights", DType.INT8, weights), _channels(lanes, SIXTEEN))
    return "depthwise_conv_2d_s8_mve", constants, fields, taps * POINTER_BYTES + run * channels


def _output(layer: Layer) -> Fields:
    """The members of a thimble_output_mve."""
    output = layer.site.outputs[0]
    low, high = activation_range(layer.activation, output)
    zero = quant_of(output).zero_point[0]
    return ("zero", zero), ("low", low), ("high", high), ("positive", int(low >= zero))


def _columns(filters: Filters, block: int) -> Array:
    """Biases, multipliers and shifts as rows, up to a multiple of `block` channels."""
    columns = np.zeros((3, -(-len(filters.bias) // block) * block), np.int64)
    columns[2] = -1
    for index, (bias, (mantissa, right)) in enumerate(zip(filters.bias.tolist(), filters.channels, strict=True)):
        columns[:, index] = bias, mantissa, -right
    return columns


def _channels(filters: Filters, order: tuple[int, ...]) -> Data:
    """Biases, multipliers and shifts of as many channels at a time as `order` is long, in that order."""
    blocks = _columns(filters, len(order)).reshape(3, -1, len(order))[:, :, list(order)]
    return packed("channels", DType.INT32, blocks.transpose(1, 0, 2))
