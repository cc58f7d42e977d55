# SPDX-License-Identifier: Apache-2.0
"""Which int8 layers are requantized by one multiplication per sum, with filters and biases made ready for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array
from thimble.kernel import Data, Fields
from thimble.ops.numerics import activation_range, multiply_by_quantized_multiplier, quant_of
from thimble.ops.weighted import Layer, legacy_zero

MOST_SHIFT = 24
"""Bits to the right for which half a step and the zero point still fit in an int32."""

Kernel = tuple[str, tuple[Data, ...], Fields, int]
"""Name, constants, members of the parameters, bytes of work space."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters `[O,taps]`, biases with the input's zero point counted in, and multipliers per channel.

    A multiplier is (mantissa in Q31, bits to the right). A channel that gives the same result for all inputs has zeros
    for weights, and the bias that gives this result.
    """

    values: Array
    bias: Array
    channels: tuple[tuple[int, int], ...]


def conv_filters(layer: Layer) -> Filters | None:
    """The filters of a convolution that the kernel computes: no groups, requantization by one multiplication."""
    if layer.weights.shape[3] != layer.shapes[0][3]:
        return None
    return _requantized(layer, layer.weights.reshape(layer.channels, -1).astype(np.int64))


def depthwise_filters(layer: Layer) -> Filters | None:
    """Those of a depthwise convolution with one output channel per input channel."""
    if layer.shapes[0][3] != layer.channels:
        return None
    return _requantized(layer, layer.weights.reshape(-1, layer.channels).T.astype(np.int64))


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
    channels = []
    for index, (pair, bound, most) in enumerate(zip(pairs, bounds, reach, strict=True)):
        if _fits(pair, most):
            channels.append((pair[0], -pair[1]))
            continue
        result = _only_result(layer, pair, bound)
        if result is None:
            return None
        filters[index], bias[index] = 0, result << 9  # times 2**30 / 2**31, less 8 bits
        channels.append((1 << 30, 8))
    return Filters(filters, bias, tuple(channels))


def _fits(pair: tuple[int, int], reach: int) -> bool:
    """Whether a doubled sum fits in an int32, and the product with half a step and the zero point added."""
    mantissa, right = pair[0], -pair[1]
    return mantissa > 0 and 1 <= right <= MOST_SHIFT and reach < 1 << 30 and reach + (130 << right) < 1 << 31


def _only_result(layer: Layer, pair: tuple[int, int], bounds: tuple[int, int]) -> int | None:
    """The result, less its zero point, of a channel whose sums within the bounds all give the same; else None.

    Channels that training has left without effect have tiny multipliers and huge biases.
    """
    if max(map(abs, bounds)) >= 1 << 31:
        return None
    output = layer.site.outputs[0]
    least, most = multiply_by_quantized_multiplier(np.array(bounds, np.int64), *pair).tolist()
    low, high = activation_range(layer.activation, output)
    zero = quant_of(output).zero_point[0]
    first, last = (min(max(value + zero, low), high) for value in (least, most))
    return first - zero if first == last else None
