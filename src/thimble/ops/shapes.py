# SPDX-License-Identifier: Apache-2.0
"""Shape arithmetic that several operators share."""

from __future__ import annotations

import numpy as np

from thimble.ir import DType, Padding, Shape, Tensor, require

WHOLE_NUMBERS = (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.INT64)
MOST_OUTPUTS = 1 << 16
"""More outputs than any real operator has: a damaged count must not make a rule fill the memory."""

_MOST_LISTED = 4096


Along = Padding | tuple[int, int]
"""Padding along one axis: a rule, or how many cells before and after."""


def along(axis: int, padding: Padding, margins: tuple[int, ...]) -> Along:
    """The padding of an operator along rows (0) or columns (1); `margins` are its (top, bottom, left, right) or ()."""
    return (margins[2 * axis], margins[2 * axis + 1]) if margins else padding


def window(size: int, kernel: int, stride: int, padding: Along, dilation: int = 1) -> int:
    """Output extent of a sliding window along one axis.

    Source: ComputeOutSize, tensorflow/lite/kernels/padding.h.
    """
    require(size > 0 and kernel > 0 and stride > 0 and dilation > 0, "window, stride and dilation must be positive")
    reach = (kernel - 1) * dilation + 1
    if padding is Padding.SAME:
        return -(-size // stride)
    if isinstance(padding, tuple):
        size += sum(padding)
    require(size >= reach, f"a window of {reach} does not fit in {size} without padding")
    return (size - reach) // stride + 1


def broadcast(*shapes: Shape) -> Shape:
    """NumPy broadcasting of several shapes."""
    try:
        return tuple(int(d) for d in np.broadcast_shapes(*shapes))
    except ValueError:
        text = " and ".join(str(list(s)) for s in shapes)
        require(False, f"shapes {text} cannot be broadcast together")
        raise AssertionError from None


def operand(inputs: tuple[Tensor | None, ...], index: int, what: str) -> Tensor:
    """The operand at `index`, which must be there."""
    require(index < len(inputs), f"operand {index} ({what}) is missing")
    tensor = inputs[index]
    require(tensor is not None, f"operand {index} ({what}) is missing")
    assert tensor is not None
    return tensor


def integers(tensor: Tensor | None) -> tuple[int, ...] | None:
    """Values of a constant integer tensor, or None when they are only known at run time.

    Axes, sizes and paddings are a few numbers; a list of thousands is not one of those, and is not read.
    """
    if tensor is None or tensor.data is None or tensor.dtype not in WHOLE_NUMBERS or tensor.elements > _MOST_LISTED:
        return None
    stored = np.dtype(tensor.dtype.label).newbyteorder("<")
    return tuple(int(v) for v in np.frombuffer(tensor.data[: tensor.nbytes], dtype=stored))


def joined(inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
    """Known integers of all operands one after the other, or None if any is only known at run time."""
    parts = [integers(tensor) for tensor in inputs]
    if any(part is None for part in parts):
        return None
    return tuple(value for part in parts if part is not None for value in part)


def axis_of(axis: int, rank: int) -> int:
    """A possibly negative axis as a non-negative one."""
    require(-rank <= axis < rank, f"axis {axis} is outside a tensor of rank {rank}")
    return axis % rank


def padded(shape: Shape, pads: tuple[int, ...]) -> Shape:
    """The shape with `pads[2 * i]` elements before and `pads[2 * i + 1]` after those of axis `i`."""
    require(len(pads) == 2 * len(shape), f"{len(pads)} paddings for {list(shape)}, two per axis are required")
    require(min(pads, default=0) >= 0, f"paddings {list(pads)} must not be negative")
    return tuple(d + pads[2 * i] + pads[2 * i + 1] for i, d in enumerate(shape))
