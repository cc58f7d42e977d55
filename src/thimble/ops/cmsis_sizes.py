# SPDX-License-Identifier: Apache-2.0
"""Work space of CMSIS-NN's int8 functions in bytes, in its three flavours: plain C, DSP (Armv7E-M) and MVE (Helium).

GCC and LLVM builds: Arm's own compiler asks for a little more in two places.

Source: CMSIS-NN at 4ab83cc, the files `*get_buffer_size*` in `Source/`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from thimble.ir import Shape

_MVE_BLOCK = 124  # CH_IN_BLOCK_MVE: channels that the depthwise kernel takes at a time


class Pair(NamedTuple):
    """Height and width."""

    h: int
    w: int


@dataclass(frozen=True, slots=True)
class Slide:
    """Stride, dilation and padding of a convolution."""

    stride: Pair
    dilation: Pair
    padding: Pair


def up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple


def im2col_s8(columns: int, *, mve: bool) -> int:
    """arm_convolve_s8_get_buffer_size: four rows of int8 (MVE), or two of int16."""
    return 4 * up(columns, 16) if mve else 2 * up(columns, 4) * 2


def is_pointwise(slide: Slide, data: Shape, filters: Shape) -> bool:
    """arm_nn_is_convolve_1x1."""
    whole = data[3] == filters[3] and slide.dilation == (1, 1)
    return whole and filters[1:3] == (1, 1) and slide.padding == (0, 0)


def is_row(slide: Slide, data: Shape, filters: Shape) -> bool:
    """arm_nn_is_convolve_1_x_n: images of one row."""
    whole = data[3] == filters[3] and slide.dilation.w == 1 and filters[1] == 1
    return whole and data[1] == 1 and (slide.stride.w * data[3]) % 4 == 0


def row_surplus(slide: Slide, data: Shape, filters: Shape, out: Shape) -> int:
    """Columns outside the image that windows over an image of one row reach; negative where some are not reached."""
    return (out[2] - 1) * slide.stride.w + filters[2] - data[2]


def _row_s8(slide: Slide, data: Shape, filters: Shape, out: Shape) -> int:
    """arm_convolve_1_x_n_s8_get_buffer_size_mve: images of one row need their borders only."""
    taps, depth, pad = filters[2], data[3], slide.padding.w
    total = row_surplus(slide, data, filters, out)
    odd = total - 2 * int(total / 2)  # C's remainder keeps the sign
    right = max(1, (pad + odd + slide.stride.w - 1) // slide.stride.w) if pad + odd != 0 else 0
    left = max(1, (pad + slide.stride.w - 1) // slide.stride.w) if pad != 0 else 0
    if right + max(out[2] - (right + left), 0) + left != out[2]:
        return im2col_s8(depth * taps * filters[1], mve=True)
    before = pad * depth
    after = right * depth if odd else before
    return max(taps * depth + before, (taps - 1) * depth + after)


def convolve_s8(slide: Slide, data: Shape, filters: Shape, out: Shape, *, mve: bool) -> int:
    """arm_convolve_wrapper_s8_get_buffer_size; filters are `[O,KH,KW,C/groups]`."""
    if is_pointwise(slide, data, filters):
        return 0
    if mve and is_row(slide, data, filters):
        return _row_s8(slide, data, filters, out)
    return im2col_s8(data[3] * filters[1] * filters[2], mve=mve)


def _depthwise_opt(data: Shape, filters: Shape, *, dsp: bool, mve: bool, int4: bool) -> int:
    """arm_depthwise_conv_s8_opt_get_buffer_size, and _s4_: rows of int8 (MVE) or int16 (DSP; int4 also plain C)."""
    taps = filters[1] * filters[2]
    if mve:
        return 4 * _MVE_BLOCK * taps
    return 2 * data[3] * taps if dsp or int4 else 0


def depthwise_s8(
    slide: Slide, data: Shape, filters: Shape, out: Shape, *, dsp: bool, mve: bool, int4: bool = False
) -> int:
    """arm_depthwise_conv_wrapper_s8_get_buffer_size and _s4_; filters are `[1,KH,KW,O]`."""
    if mve and not int4 and data[3] == 1 and out[3] > 1:
        # One input channel: run as a convolution on a transposed copy of the weights.
        as_conv = (out[3], filters[1], filters[2], 1)
        return convolve_s8(slide, data, as_conv, out, mve=True) + math.prod(as_conv)
    if data[3] != out[3] or data[0] != 1 or slide.dilation != (1, 1):
        return 0
    small = filters[1:3] == (3, 3) and max(slide.padding) <= 1
    if small and not mve and not int4:
        return 0
    return _depthwise_opt(data, filters, dsp=dsp, mve=mve, int4=int4)


def average_pool_s8(depth: int, *, dsp: bool, mve: bool) -> int:
    """arm_avgpool_s8_get_buffer_size: a row of sums, DSP flavour only."""
    return 4 * depth if dsp and not mve else 0
