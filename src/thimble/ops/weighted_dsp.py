# SPDX-License-Identifier: Apache-2.0
"""Parameters and constants of the int8 kernels with packed arithmetic: kernels/conv_2d_s8_dsp.h and its neighbours."""

from __future__ import annotations

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Fields
from thimble.ops.lowering import image, packed
from thimble.ops.numerics import activation_range, quant_of
from thimble.ops.requantized import Filters, Kernel
from thimble.ops.weighted import Layer


def suits_depthwise(layer: Layer) -> bool:
    """Whether there is a filter per channel, three wide, with stride 1 or 2."""
    over, before = layer.over, layer.shapes[0][3]
    return before == layer.channels >= 4 and over.kernel[1] == 3 and over.stride[1] <= 2 and over.dilation == (1, 1)


def channel_rows(layer: Layer, filters: Filters, *, doubled: bool) -> Array:
    """Per filter bias, multiplier, offset and shift, as kernels/requantize_dsp.h has them."""
    after = quant_of(layer.site.outputs[0]).zero_point[0]
    rows = []
    for bias, (mantissa, right) in zip(filters.bias.tolist(), filters.channels, strict=True):
        offset = (1 << (right - 1)) + (after << right)
        rows.append((bias * (2 if doubled else 1), mantissa if doubled else 2 * mantissa - (1 << 32), offset, right))
    return np.array(rows, np.int64)


def output_range(layer: Layer, *, doubled: bool) -> Fields:
    """The members of a thimble_output."""
    output = layer.site.outputs[0]
    low, high = activation_range(layer.activation, output)
    positive = int(low >= quant_of(output).zero_point[0])
    return ("low", low), ("high", high), ("positive", positive), ("doubled", int(doubled))


def depthwise(layer: Layer, filters: Filters) -> Kernel:
    """Weights as in the model; work space for four bands and four filters twice."""
    before, after = layer.shapes
    rows, stride = layer.over.kernel[0], layer.over.stride[1]
    pairs = (after[2] + 1) // 2 * stride + 1
    over = dict(layer.over.fields(before))
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *((name, over[name]) for name in ("kernel_h", "stride_h", "stride_w", "pad_top", "pad_left")),
        ("pairs", pairs),
        ("in_zero", quant_of(layer.site.tensor(0)).zero_point[0]),
        ("output", output_range(layer, doubled=True)),
    )
    weights = packed("weights", DType.INT8, filters.values.T)
    constants = (weights, packed("channels", DType.INT32, channel_rows(layer, filters, doubled=True)))
    return "depthwise_conv_2d_s8_dsp", constants, fields, 4 * (4 * rows * pairs + 4 * 4 * rows)


def conv(layer: Layer, filters: Filters) -> Kernel:
    """Filters in pairs, with all that is read along with them. Work space for two patches and a window."""
    before, after = layer.shapes
    taps = filters.values.shape[1]
    groups = -(-taps // 4)
    doubled = 2 * groups < layer.channels  # two instructions per word of a patch, or one per output
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(before),
        ("depth", before[3]),
        ("taps", taps),
        ("groups", groups),
        ("in_zero", quant_of(layer.site.tensor(0)).zero_point[0]),
        ("output", output_range(layer, doubled=doubled)),
    )
    rows = channel_rows(layer, filters, doubled=doubled)
    streams = []
    for first in range(0, layer.channels, 2):
        both = slice(first, first + 2)
        streams += [rows[both, 0], interleaved(filters.values[both]), rows[both, 1:].reshape(-1)]
    return "conv_2d_s8_dsp", (packed("filters", DType.INT32, np.concatenate(streams)),), fields, groups * 20


def fully_connected(layer: Layer, filters: Filters) -> Kernel:
    """For an input and output of one pixel: filters in fours. Work space for the input as int16."""
    units, depth = filters.values.shape
    groups = -(-depth // 4)
    fields = (
        ("depth", depth),
        ("units", units),
        ("groups", groups),
        ("output", output_range(layer, doubled=False)),
    )
    whole = units // 4 * 4
    blocks = [filters.values[at : at + 4] for at in range(0, whole, 4)] + [row[None] for row in filters.values[whole:]]
    weights = packed("weights", DType.INT32, np.concatenate([interleaved(block) for block in blocks]))
    channels = packed("channels", DType.INT32, channel_rows(layer, filters, doubled=False))
    return "fully_connected_s8_dsp", (weights, channels), fields, groups * 8


def interleaved(filters: Array) -> Array:
    """Filters `[O,taps]` as words of four taps, the last one filled up: word by word of all filters."""
    count, taps = filters.shape
    words = np.zeros((count, -(-taps // 4) * 4), np.int8)
    words[:, :taps] = filters
    return np.frombuffer(words.reshape(count, -1, 4).transpose(1, 0, 2).tobytes(), "<i4").astype(np.int64)
