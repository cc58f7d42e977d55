# SPDX-License-Identifier: Apache-2.0
"""Which rows of their operands the rows of a result need, for operators that can run row by row on `[1,H,W,C]`."""

from __future__ import annotations

from functools import lru_cache

from thimble.ir import Attrs, Kind, Rows, Sliding, Tensor
from thimble.ops.convolution import Pair, margin
from thimble.ops.shapes import Along


def is_image(tensor: Tensor) -> bool:
    """Whether rows of the tensor follow each other in memory: one image."""
    return len(tensor.shape) == 4 and tensor.shape[0] == 1 and tensor.nbytes > 0


def sliding(x: Tensor, kernel: Pair, stride: Pair, padding: tuple[Along, Along], dilation: Pair = (1, 1)) -> Sliding:
    """How a window moves over an image."""
    spans = zip(x.shape[1:3], kernel, stride, padding, dilation, strict=True)
    top, left = (margin(*span) for span in spans)
    return Sliding(kernel, stride, dilation, (top, left))


def under(attrs: Attrs, inputs: tuple[Tensor | None, ...], output: Tensor, axis: int) -> Rows | None:
    """Which rows (axis 0) or columns (1) of operand 0 each of the output's needs; None without a sliding window."""
    slides, x = attrs.sliding(inputs), inputs[0]
    if slides is None or x is None:
        return None
    reach = (slides.kernel[axis] - 1) * slides.dilation[axis] + 1
    return _windows(x.shape[1 + axis], reach, slides.stride[axis], slides.before[axis], output.shape[1 + axis])


def window_rows(attrs: Attrs, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
    """For operators that slide a window over operand 0; the others are needed whole."""
    x = inputs[0]
    if x is None or not is_image(x):
        return None
    return (under(attrs, inputs, output, 0), *[None] * (len(inputs) - 1))


@lru_cache(maxsize=1024)
def _windows(size: int, reach: int, stride: int, before: int, count: int) -> Rows:
    """What of so many cells is under each of `count` windows, of which the first starts `before` the cells."""
    starts = (number * stride - before for number in range(count))
    return tuple((min(max(0, start), size), max(0, min(size, start + reach))) for start in starts)


def same_rows(inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
    """For operators that compute each element from those at its place; operands of one row serve all rows."""
    if not is_image(output):
        return None
    rows = tuple((y, y + 1) for y in range(output.shape[1]))
    found: list[Rows | None] = []
    for tensor in inputs:
        if tensor is None or tensor.kind is Kind.CONSTANT or tensor.elements == 1:
            if tensor is not None and len(tensor.shape) == 4 and tensor.shape[1] > 1:
                return None  # a constant with rows of its own
            found.append(None)
        elif is_image(tensor) and tensor.shape[1] == output.shape[1]:
            found.append(rows)
        elif is_image(tensor) and tensor.shape[1] == 1:
            found.append(None)
        else:
            return None
    return tuple(found)
