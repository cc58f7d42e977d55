# SPDX-License-Identifier: Apache-2.0
"""Faster kernels for int16 with weights of int8: kernels/weighted_s16_dsp.h and kernels/weighted_s16_mve.h."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Data, Flavour, KernelCall, Site
from thimble.ops.lowering import packed

if TYPE_CHECKING:
    from thimble.ops.weighted_wide import WideLayer

_NAMES = {Flavour.DSP: "dsp", Flavour.MVE: "mve"}
_FOUR = 4  # filters, channels, taps in a word
_ORDER = (0, 2, 1, 3)  # of a word's taps
_LEAST_RIGHT = 17  # bits to the right, as kernels/window_s16.h has them


def faster(site: Site, layer: WideLayer, call: KernelCall) -> KernelCall:
    """The call with a kernel of the site's flavour; as it was where that has none, or too little work space.

    Not for transposed convolutions, groups, several filters per channel, zero points, computed operands, biases of
    int32 and sums that int32 does not hold.
    """
    general = len(call.reads) > 1 or any(layer.zeros) or layer.transposed or not layer.wide
    if site.flavour not in _NAMES or general or site.tensor(layer.places[1]).dtype is not DType.INT8:
        return call
    name, channels, (rows, columns) = _NAMES[site.flavour], layer.shapes[0][3], layer.over.kernel
    weights, taps, scratch = call.constants[0], rows * columns * layer.depth, 0
    matrix = np.frombuffer(weights.data, np.int8)
    if (layer.depth, *layer.strides) == (channels, taps, channels):
        kernel, matrix = "conv_2d", matrix.reshape(-1, taps)
        whole = _FOUR if name == "dsp" else 1
        weights = _words(matrix) if name == "dsp" else packed(weights.name, DType.INT8, _filled(matrix, whole))
        scratch = 8 if taps == channels and taps % whole == 0 else -(-taps // _FOUR) * _FOUR * 2
    elif layer.depth == layer.filters == 1:
        kernel, matrix = "depthwise_conv_2d", matrix.reshape(taps, -1).T
    else:
        return call
    finish = _finish(matrix, *call.constants[1:])
    if finish is None or not site.allows(scratch):
        return call
    header = f"weighted_s16_{name}.h"
    return replace(call, kernel=f"{kernel}_s16_{name}", header=header, constants=(weights, *finish), scratch=scratch)


def _filled(matrix: Array, width: int) -> Array:
    """Filters `[O,taps]` with zeros up to fours of them, and up to a multiple of `width` taps."""
    filled: Array = np.pad(matrix, ((0, -len(matrix) % _FOUR), (0, -matrix.shape[1] % width)))
    return filled


def _words(matrix: Array) -> Data:
    """For each four filters their words of four taps in turn."""
    words = _filled(matrix, _FOUR).reshape(-1, _FOUR, -(-matrix.shape[1] // _FOUR), _FOUR)[..., _ORDER]
    turned = np.ascontiguousarray(words.transpose(0, 2, 1, 3))
    return packed("weights", DType.INT32, np.frombuffer(turned.tobytes(), "<i4"))


def _finish(matrix: Array, bias: Data, scales: Data) -> tuple[Data, Data] | None:
    """Biases as int32, and per four filters multipliers, constants and shifts; None where they do not fit."""
    count = len(matrix)
    biases = np.frombuffer(bias.data, "<i8") if bias.data else np.zeros(count, np.int64)
    reach = np.abs(matrix.astype(np.int64)).sum(axis=1) * (1 << 15)
    pairs = np.broadcast_to(np.frombuffer(scales.data, "<i4").astype(np.int64).reshape(-1, 2), (count, 2))
    right = pairs[:, 1]
    if np.any(np.abs(biases) >= (1 << 31) - reach) or right.min() < _LEAST_RIGHT:
        return None
    columns = np.stack([pairs[:, 0] << 16, np.int64(1) << (right - _LEAST_RIGHT), right - _LEAST_RIGHT + 1])
    more = -count % _FOUR
    blocks = np.pad(columns, ((0, 0), (0, more))).reshape(3, -1, _FOUR).transpose(1, 0, 2)
    return packed(bias.name, DType.INT32, np.pad(biases, (0, more))), packed("scales", DType.INT32, blocks)
