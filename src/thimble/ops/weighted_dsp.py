# SPDX-License-Identifier: Apache-2.0
"""Parameters and constants of the int8 kernels with packed arithmetic: kernels/conv_2d_s8_dsp.h and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields
from thimble.ops.lowering import image, packed
from thimble.ops.numerics import activation_range, multiply_by_quantized_multiplier, quant_of
from thimble.ops.weighted import Layer, legacy_zero

MOST_SHIFT = 24
"""Bits to the right for which half a step and the zero point still fit in an int32."""

Kernel = tuple[str, tuple[Data, ...], Fields, int]
"""Name, constants, members of the parameters, bytes of work space."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters `[O,taps]` and their biases as they were, and per channel (multiplier, bits to the right, result).

    Where the result is not None, the channel's output is that for all inputs, and its filter counts as zeros.
    """

    values: Array
    bias: Array
    channels: tuple[tuple[int, int, int | None], ...]


def conv_filters(layer: Layer) -> Filters | None:
    """The filters of a convolution that the kernel computes: no groups, requantization by one multiplication."""
    if layer.weights.shape[3] != layer.shapes[0][3]:
        return None
    return _requantized(layer, layer.weights.reshape(layer.channels, -1).astype(np.int64))


def depthwise_filters(layer: Layer) -> Filters | None:
    """Those of a depthwise convolution: a filter per channel, three wide, stride 1 or 2."""
    (_, _, _, before), (_, _, _, after) = layer.shapes
    over = layer.over
    shaped = before == after >= 4 and over.kernel[1] == 3 and over.stride[1] in (1, 2) and over.dilation == (1, 1)
    return _requantized(layer, layer.weights.reshape(-1, after).T.astype(np.int64)) if shaped else None


def _requantized(layer: Layer, filters: Array) -> Filters | None:
    """The filters, if kernels/requantize_dsp.h applies to all channels."""
    if legacy_zero(layer.site) != 0:
        return None
    zero = quant_of(layer.site.tensor(0)).zero_point[0]
    bias = layer.bias - zero * filters.sum(axis=1)
    ends = np.stack([filters * -128, filters * 127])
    bounds = zip(
        (bias + ends.min(axis=0).sum(axis=1)).tolist(), (bias + ends.max(axis=0).sum(axis=1)).tolist(), strict=True
    )
    reach = (np.abs(filters).sum(axis=1) * 128 + np.abs(bias)).tolist()
    pairs = layer.pairs if len(layer.pairs) == len(filters) else [*layer.pairs] * len(filters)
    channels = [_channel(layer, pair, bound, most) for pair, bound, most in zip(pairs, bounds, reach, strict=True)]
    if None in channels:
        return None
    fixed = np.array([c is not None and c[2] is not None for c in channels])
    values, bias = np.where(fixed[:, None], 0, filters), np.where(fixed, 0, bias)
    return Filters(values, bias, tuple(c for c in channels if c is not None))


def _channel(
    layer: Layer, pair: tuple[int, int], bounds: tuple[int, int], reach: int
) -> tuple[int, int, int | None] | None:
    """Multiplier, bits to the right and result of a channel whose sums lie within the bounds; None if there are none.

    A doubled sum must fit in an int32, and so must the product with half a step and the zero point added. Channels that
    training has left without effect have tiny multipliers and huge biases: their result is often always the same.
    """
    mantissa, right = pair[0], -pair[1]
    if mantissa > 0 and 1 <= right <= MOST_SHIFT and reach < 1 << 30 and reach + (130 << right) < 1 << 31:
        return mantissa, right, None
    if max(map(abs, bounds)) >= 1 << 31:
        return None
    output = layer.site.outputs[0]
    least, most = multiply_by_quantized_multiplier(np.array(bounds, np.int64), mantissa, -right)
    low, high = activation_range(layer.activation, output)
    zero = quant_of(output).zero_point[0]
    results = np.clip([int(least) + zero, int(most) + zero], low, high)
    return (1 << 30, 8, int(results[0])) if results[0] == results[1] else None


def channel_rows(layer: Layer, filters: Filters, *, doubled: bool) -> Data:
    """A thimble_channel per filter: bias with the input's zero point, multiplier, offset, shift."""
    after = quant_of(layer.site.outputs[0]).zero_point[0]
    rows = []
    for bias, (mantissa, right, result) in zip(filters.bias.tolist(), filters.channels, strict=True):
        offset = (1 << (right - 1)) + ((after if result is None else result) << right)
        rows.append((bias * (2 if doubled else 1), mantissa if doubled else 2 * mantissa - (1 << 32), offset, right))
    return packed("channels", DType.INT32, np.array(rows, np.int64))


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
        ("output", output_range(layer, doubled=False)),
    )
    weights = packed("weights", DType.INT8, filters.values.T)
    constants = (weights, channel_rows(layer, filters, doubled=False))
    return "depthwise_conv_2d_s8_dsp", constants, fields, 4 * (4 * rows * pairs + 4 * 4 * rows)


def conv(layer: Layer, filters: Filters) -> Kernel:
    """Filters in pairs, word by word; an odd last one alone. Work space for two patches and a window."""
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
    constants = (interleaved(filters.values, 2), channel_rows(layer, filters, doubled=doubled))
    return "conv_2d_s8_dsp", constants, fields, groups * 20


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
    constants = (interleaved(filters.values, 4), channel_rows(layer, filters, doubled=False))
    return "fully_connected_s8_dsp", constants, fields, groups * 8


def interleaved(filters: Array, several: int) -> Data:
    """Filters `[O,taps]` as words of four taps: word by word of so many filters; those left over one by one."""
    count, taps = filters.shape
    words = np.zeros((count, -(-taps // 4) * 4), np.int8)
    words[:, :taps] = filters
    whole = count // several * several
    together = words[:whole].reshape(-1, several, words.shape[1] // 4, 4).transpose(0, 2, 1, 3)
    return packed("weights", DType.INT32, np.frombuffer(together.tobytes() + words[whole:].tobytes(), "<i4"))
