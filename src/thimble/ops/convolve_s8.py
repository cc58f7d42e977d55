# SPDX-License-Identifier: Apache-2.0
"""Lowering of int8 CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: which kernel, by flavour and shape.

FULLY_CONNECTED is a convolution by 1 x 1 filters of an image that is one pixel wide.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Fields, Flavour, KernelCall, whole
from thimble.ops import conv_dsp, depthwise_dsp
from thimble.ops import weighted_cmsis as cmsis
from thimble.ops import weighted_mve as mve
from thimble.ops.lowering import channel_table, image, packed
from thimble.ops.numerics import activation_range, quant_of
from thimble.ops.requantized import depthwise_rows, filter_rows, requantizable, shifts_right
from thimble.ops.weighted import Layer, legacy_zero


def conv_s8(layer: Layer) -> tuple[KernelCall, ...]:
    """A convolution, one call per batch."""
    flavour = layer.site.flavour
    theirs = cmsis.conv(layer) if flavour.calls_cmsis_nn else None
    if theirs is not None:
        return theirs
    if flavour is Flavour.MVE:
        filters = requantizable(layer, filter_rows(layer))
        if filters is not None:
            calls = _calls(layer, *mve.conv(layer, filters))
            if layer.site.allows(calls[0].scratch):
                return calls
    if flavour is Flavour.DSP:
        kernel = conv_dsp.conv(layer)
        if kernel is not None:
            calls = _calls(layer, *kernel, rows=0 if kernel[0] == "fully_connected_s8_dsp" else None)
            return _in_place(layer, calls) if conv_dsp.stays_in_place(kernel[0]) else calls
    return _calls(layer, "conv_2d_s8", *_plain_conv(layer))


def depthwise_s8(layer: Layer) -> tuple[KernelCall, ...]:
    """A depthwise convolution, one call per batch; of a single channel it is a convolution."""
    flavour = layer.site.flavour
    if layer.shapes[0][3] == 1 and flavour is not Flavour.CMSIS_NN:  # without Helium it has a function for that
        return conv_s8(replace(layer, weights=layer.weights.transpose(3, 1, 2, 0)))
    theirs = cmsis.depthwise(layer) if flavour.calls_cmsis_nn else None
    if theirs is not None:
        return theirs
    filters = requantizable(layer, depthwise_rows(layer)) if flavour in (Flavour.DSP, Flavour.MVE) else None
    if filters is not None and flavour is Flavour.MVE and mve.suits_depthwise(layer, filters):
        calls = _calls(layer, *mve.depthwise(layer, filters))
        if layer.site.allows(calls[0].scratch):
            return calls
    kernel = depthwise_dsp.depthwise(layer, filters) if filters is not None and flavour is Flavour.DSP else None
    if kernel is not None:
        calls = _calls(layer, *kernel)
        if not depthwise_dsp.takes_channels_in_turn(kernel[0]):
            return calls
        return tuple(replace(call, scattered=True) for call in _in_place(layer, calls))
    return _calls(layer, "depthwise_conv_2d_s8", *_plain_depthwise(layer))


def _in_place(layer: Layer, calls: tuple[KernelCall, ...]) -> tuple[KernelCall, ...]:
    """The calls of a kernel with packed arithmetic, which may lie over its input where that has the output's shape.

    Pixels of a pointwise convolution are spread out before they are written; so are, channel by channel, the rows of a
    depthwise one, unless some channels are computed twice.
    """
    before, after = layer.shapes
    pointwise = layer.over.kernel == (1, 1)
    depthwise = layer.weights.shape[0] == 1 and layer.weights.shape[3] == before[3] > 1 and before[3] % 4 == 0
    over = before == after and layer.over.stride == (1, 1) and (pointwise or depthwise)
    return tuple(replace(call, in_place=((0, 0),)) for call in calls) if over else calls


def _calls(
    layer: Layer,
    kernel: str,
    constants: tuple[Data, ...],
    fields: Fields,
    scratch: int = 0,
    rows: int | None = None,
) -> tuple[KernelCall, ...]:
    reads, writes = whole(layer.site.tensor(0)), whole(layer.site.outputs[0])
    batch, height = layer.shapes[1][:2]
    rows = height if rows is None else rows
    return (KernelCall(kernel, f"{kernel}.h", reads, writes, constants, kernel, fields, scratch, rows, batch=batch),)


def _plain_conv(layer: Layer) -> tuple[tuple[Data, ...], Fields]:
    before, after = layer.shapes
    depth = layer.weights.shape[3]
    filters = layer.channels // (before[3] // depth)
    rows = layer.weights.reshape(layer.channels, -1)
    zero = quant_of(layer.site.tensor(0)).zero_point[0]
    bias = layer.bias
    if layer.stays_inside:  # no tap is ever left out, so that the input's zero point is always worth the same
        bias = bias - zero * (rows.astype(np.int64) - legacy_zero(layer.site)).sum(axis=1)
        zero = 0
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(before),
        ("depth", depth),
        ("filters", filters),
        *_plain_output(layer, rows, zero),
    )
    groups = rows.reshape(-1, filters, rows.shape[1])
    weights = np.concatenate([_in_fours(group) for group in groups])
    return (packed("weights", DType.INT8, weights), channel_table(bias, layer.pairs)), fields


def _in_fours(filters: Array) -> Array:
    """Filters `[O,taps]`, each four interleaved tap by tap, those that are left one after another."""
    whole_fours = len(filters) // 4 * 4
    fours = filters[:whole_fours].reshape(-1, 4, filters.shape[1]).transpose(0, 2, 1)
    return np.concatenate([fours.reshape(-1), filters[whole_fours:].reshape(-1)])


def _plain_depthwise(layer: Layer) -> tuple[tuple[Data, ...], Fields]:
    before, after = layer.shapes
    fields = (
        ("in", image(before)),
        ("out", image(after)),
        *layer.over.fields(before),
        ("multiplier", after[3] // before[3]),
        *_plain_output(
            layer, layer.weights.reshape(-1, layer.channels).T, quant_of(layer.site.tensor(0)).zero_point[0]
        ),
    )
    return (packed("weights", DType.INT8, layer.weights), channel_table(layer.bias, layer.pairs)), fields


def _plain_output(layer: Layer, rows: Array, in_zero: int) -> Fields:
    """Zero points, and the members of a thimble_output_s8."""
    output = layer.site.outputs[0]
    low, high = activation_range(layer.activation, output)
    bounds = (("zero", quant_of(output).zero_point[0]), ("low", low), ("high", high))
    return (
        ("in_zero", in_zero),
        ("weight_zero", legacy_zero(layer.site)),
        ("output", (*bounds, ("quick", int(shifts_right(layer, rows))))),
    )
