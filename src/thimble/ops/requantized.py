# SPDX-License-Identifier: Apache-2.0
"""Which int8 layers are requantized by one multiplication per sum, with filters and biases made ready for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thimble.ir import Array
from thimble.kernel import Data, Fields
from thimble.ops.numerics import activation_range, multiply_by_quantized_multiplier, quant_of
from thimble.ops.weighted import Layer, legacy_zero

MOST_SHIFT = 24
"""Bits to the right for which half a step and the zero point still fit in an int32."""
PACKED_REACH = 1 << 23
"""What sums stay below that are kept 256 times as large."""
PACKED_SHIFTS = range(-6, 16)
"""Bits to the right for which the same holds."""

Kernel = tuple[str, tuple[Data, ...], Fields, int]
"""Name, constants, members of the parameters, bytes of work space."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters `[O,taps]`, biases with the input's zero point counted in, and multipliers per channel.

    A multiplier is (mantissa in Q31, bits to the right). A channel that gives the same result for all inputs has zeros
    for weights, and the bias that gives this result.
    """

    values: Array
    bias: Array
    channels: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """What is known of one channel's sums: the least and the most, and what partial sums never exceed."""

    pair: Pair
    bounds: Pair
    reach: int

    @property
    def right(self) -> int:
        return -self.pair[1]


def doubles(channel: Channel) -> bool:
    """Whether a doubled sum fits in an int32, and the product with half a step and the zero point added."""
    if channel.pair[0] <= 0 or not 1 <= channel.right <= MOST_SHIFT:
        return False
    return channel.reach < 1 << 30 and channel.reach + (130 << channel.right) < 1 << 31


def packs(channel: Channel) -> bool:
    """Whether 256 times the sum fits in an int32, and the rest as kernels/requantize_dsp.h has it."""
    return channel.pair[0] > 0 and channel.right in PACKED_SHIFTS and max(map(abs, channel.bounds)) < PACKED_REACH


def shifts_right(layer: Layer, rows: Array) -> bool:
    """Whether kernels/requantize_s8.h may be quick: sums below 2**30, and multipliers below a half, for all filters."""
    most = np.abs(rows.astype(np.int64) - legacy_zero(layer.site)).sum(axis=1) * 255 + np.abs(layer.bias)
    rights = [-shift for _, shift in layer.pairs]
    return bool(most.max(initial=0) < 1 << 30) and min(rights) >= 1 and max(rights) <= 30


def filter_rows(layer: Layer) -> Array | None:
    """The filters of a convolution without groups as `[O,taps]`."""
    if layer.weights.shape[3] != layer.shapes[0][3]:
        return None
    return layer.weights.reshape(layer.channels, -1).astype(np.int64)


def depthwise_rows(layer: Layer) -> Array | None:
    """Those of a depthwise convolution with one output channel per input channel."""
    if layer.shapes[0][3] != layer.channels:
        return None
    rows: Array = layer.weights.reshape(-1, layer.channels).T.astype(np.int64)
    return rows


def requantizable(layer: Layer, rows: Array | None, fits: Callable[[Channel], bool] = doubles) -> Filters | None:
    """The filters, if all channels either fit or always give the same."""
    if rows is None or legacy_zero(layer.site) != 0:
        return None
    filters = rows.copy()
    zero = quant_of(layer.site.tensor(0)).zero_point[0]
    bias = layer.bias - zero * filters.sum(axis=1)
    channels = []
    for index, channel in enumerate(_channels(layer, filters, bias)):
        if fits(channel):
            channels.append((channel.pair[0], channel.right))
            continue
        result = _only_result(layer, channel)
        if result is None:
            return None
        filters[index], bias[index] = 0, result << 9  # times 2**30 / 2**31, less 8 bits
        channels.append((1 << 30, 8))
    return Filters(filters, bias, tuple(channels))


def _channels(layer: Layer, filters: Array, bias: Array) -> list[Channel]:
    ends = np.stack([filters * -128, filters * 127])
    least = (bias + ends.min(axis=0).sum(axis=1)).tolist()
    most = (bias + ends.max(axis=0).sum(axis=1)).tolist()
    reach = (np.abs(filters).sum(axis=1) * 128 + np.abs(bias)).tolist()
    pairs = layer.pairs if len(layer.pairs) == len(filters) else [*layer.pairs] * len(filters)
    return [Channel(*row) for row in zip(pairs, zip(least, most, strict=True), reach, strict=True)]


def _only_result(layer: Layer, channel: Channel) -> int | None:
    """The result, less its zero point, of a channel whose sums within the bounds all give the same; else None.

    Channels that training has left without effect have tiny multipliers and huge biases.
    """
    if max(map(abs, channel.bounds)) >= 1 << 31:
        return None
    output = layer.site.outputs[0]
    least, most = multiply_by_quantized_multiplier(np.array(channel.bounds, np.int64), *channel.pair).tolist()
    low, high = activation_range(layer.activation, output)
    zero = quant_of(output).zero_point[0]
    first, last = (min(max(value + zero, low), high) for value in (least, most))
    return first - zero if first == last else None
