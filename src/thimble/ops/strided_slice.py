# SPDX-License-Identifier: Apache-2.0
"""STRIDED_SLICE: NumPy's `x[begin:end:stride, ...]`, one entry per element of operands 1 to 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import WIDE, moved, numbers, shaped, unsupported
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand
from thimble.ops.strided import block, constant_numbers, copies


@dataclass(frozen=True, slots=True)
class StridedSlice(Attrs):
    """Bit `i` of a mask is for entry `i`. The ellipsis wins over a new axis, a new axis over all other masks.

    `begin_mask` and `end_mask` leave the bound open; `ellipsis_mask` stands for all axes without an entry;
    `new_axis_mask` inserts an axis of extent 1; `shrink_axis_mask` takes one element and drops the axis.
    With `offset`, `end` counts from `begin`.

    Source: StridedSliceStartForAxis and StridedSliceEndForAxis, kernels/internal/strided_slice_logic.h.
    """

    OP: ClassVar[str] = "STRIDED_SLICE"
    OPTIONS: ClassVar[str] = "StridedSliceOptions"
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        begin, end = integers(operand(inputs, 1, "begin")), integers(operand(inputs, 2, "end"))
        strides = integers(operand(inputs, 3, "strides"))
        if begin is None or end is None or strides is None:
            return None
        same = len(begin) == len(end) == len(strides)
        require(same, f"{len(begin)} begins, {len(end)} ends and {len(strides)} strides, as many of each are required")
        output: list[int] = []
        axis = 0
        for entry, skipped in self._entries(len(begin), len(x)):
            output += x[axis : axis + skipped]
            axis += skipped
            if entry is None:
                continue
            if self.new_axis_mask >> entry & 1:
                output.append(1)
                continue
            extent = len(self._positions(entry, x[axis], begin[entry], end[entry], strides[entry]))
            output += [] if self.shrink_axis_mask >> entry & 1 else [extent]
            axis += 1
        return (tuple(output),)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        known = [integers(tensor) for tensor in inputs[:4]]
        single = len(known) == 4 and all(k is not None and len(k) == 1 for k in known[1:])
        if not single or len(operand(inputs, 0, "input").shape) != 1:
            return None
        x, begin, end, stride = (k or () for k in known)
        if not x or stride[0] == 0 or self.ellipsis_mask or self.new_axis_mask or self.offset:
            return None
        if self.shrink_axis_mask:
            return x[begin[0] :][:1]
        first, last = None if self.begin_mask else begin[0], None if self.end_mask else end[0]
        return x[first : last : stride[0]]

    def _entries(self, count: int, rank: int) -> list[tuple[int | None, int]]:
        """Entries in order, each with how many axes to take over whole before it; None for the ellipsis.

        Raises:
            ShapeError: more than one ellipsis, or more entries than axes.
        """
        dots = [i for i in range(count) if self.ellipsis_mask >> i & 1]
        require(len(dots) <= 1, f"{len(dots)} ellipses, one is the most allowed")
        inserted = sum(self.new_axis_mask >> i & 1 for i in range(count) if i not in dots)
        whole = rank - (count - len(dots) - inserted)
        require(whole >= 0, f"{count} entries are too many for a tensor of rank {rank}")
        entries: list[tuple[int | None, int]] = [(None, whole) if i in dots else (i, 0) for i in range(count)]
        return entries if dots else [*entries, (None, whole)]

    def _positions(self, entry: int, size: int, begin: int, end: int, stride: int) -> range:
        """Which of an axis's `size` elements the entry takes."""
        require(stride != 0, "a stride of 0 is not allowed")
        first = None if self.begin_mask >> entry & 1 else begin
        if self.shrink_axis_mask >> entry & 1:
            inside = -size <= begin < size if first is not None else size > 0
            require(inside, f"element {begin} lies outside an axis of {size}")
            start = slice(first, None, stride).indices(size)[0]
            return range(start, start + 1)
        start = slice(first, None, stride).indices(size)[0]
        stop = None if self.end_mask >> entry & 1 else start + end if self.offset else end
        return range(*slice(first, stop, stride).indices(size))

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        if self.offset:
            raise site.unsupported("an end that counts from the begin")
        begin, end, strides = (constant_numbers(site, i) for i in (1, 2, 3))
        axis, taken = 0, block(site.tensor(0))
        for entry, skipped in self._entries(len(begin), len(taken.shape)):
            axis += skipped
            if entry is None or self.new_axis_mask >> entry & 1:
                continue
            where = self._positions(entry, taken.shape[axis], begin[entry], end[entry], strides[entry])
            taken = taken.part(axis, where.start, len(where), where.step)
            axis += 1
        return copies(site, taken, block(site.outputs[0], taken.shape))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The elements at each axis's positions.

        Source: StridedSliceEval, tensorflow/lite/micro/kernels/strided_slice.cc.
        """
        if self.offset:  # TFLM does not look at it, and would take the end as a position
            raise unsupported(self.OP, "an end that counts from the begin")
        x = moved(call, self.OP, (*WIDE, DType.BOOL))
        begin, end, strides = (numbers(call, i) for i in (1, 2, 3))
        axis, taken = 0, x
        for entry, skipped in self._entries(len(begin), x.ndim):
            axis += skipped
            if entry is None or self.new_axis_mask >> entry & 1:
                continue
            positions = self._positions(entry, x.shape[axis], begin[entry], end[entry], strides[entry])
            taken = taken.take(list(positions), axis)
            axis += 1
        return shaped(call, taken)
