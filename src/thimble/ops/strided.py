# SPDX-License-Identifier: Apache-2.0
"""Lowering of the operators that only move elements: blocks that are cut, turned and repeated, and copies between two.

A block says where the elements of a part of a tensor are. An operator that moves elements is one or several pairs of
blocks of one shape, and each pair becomes one call: of `copy.h` where both are in one piece, else of `strided_copy.h`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from thimble.ir import Shape, Tensor
from thimble.kernel import Fields, KernelCall, Site, View, dense_strides
from thimble.ops.shapes import integers

AXES = 6
"""As many loops as `strided_copy.h` has at most; the run within is another."""
INNER = 3
"""As many as it usually has."""

Loop = tuple[int, tuple[int, ...]]
"""An extent, and the distance from one element to the next for each operand, in bytes."""


@dataclass(frozen=True, slots=True)
class Block:
    """Elements of a tensor at `offset + index . strides`, in bytes; strides may be 0 or negative."""

    tensor: Tensor
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    def part(self, axis: int, first: int, count: int, step: int = 1) -> Block:
        """Every `step`-th of an axis's elements."""
        offset = self.offset + (first * self.strides[axis] if count else 0)
        return replace(self, offset=offset)._with(axis, (count,), (step * self.strides[axis],))

    def grid(self, axis: int, outer: int, inner: int, step: int) -> Block:
        """An axis as two: `outer` groups of `inner` elements, each group `step` elements after the last."""
        stride = self.strides[axis]
        return self._with(axis, (outer, inner), (step * stride, stride))

    def turned(self, *order: int) -> Block:
        """The axes in another order."""
        return replace(self, shape=tuple(self.shape[i] for i in order), strides=tuple(self.strides[i] for i in order))

    def repeated(self, axis: int, times: int) -> Block:
        """A new axis along which all is the same."""
        return self._with(axis, (times, *self.shape[axis : axis + 1]), (0, *self.strides[axis : axis + 1]))

    def broadcast(self, shape: Shape) -> Block:
        """Repeated to a shape as NumPy broadcasts."""
        missing = len(shape) - len(self.shape)
        strides = (
            0 if d != wanted else s for d, s, wanted in zip(self.shape, self.strides, shape[missing:], strict=True)
        )
        return replace(self, shape=shape, strides=(0,) * missing + tuple(strides))

    def view(self) -> View:
        """Each byte of the block once; elements must not overlap but where they are repeated."""
        axes = [(d, s) for d, s in zip(self.shape, self.strides, strict=True) if d != 1 and s != 0]
        view = View(self.tensor, self.offset, tuple(d for d, _ in axes), tuple(s for _, s in axes))
        all_of_it = self.offset == 0 and view.nbytes == self.tensor.nbytes and all(s > 0 for _, s in axes)
        return View(self.tensor) if all_of_it else view

    def _with(self, axis: int, shape: Shape, strides: tuple[int, ...]) -> Block:
        """Other axes in the place of one."""
        return replace(
            self,
            shape=(*self.shape[:axis], *shape, *self.shape[axis + 1 :]),
            strides=(*self.strides[:axis], *strides, *self.strides[axis + 1 :]),
        )


def block(tensor: Tensor, shape: Shape | None = None) -> Block:
    """All of a tensor, under its own or another shape of as many elements."""
    shape = tensor.shape if shape is None else shape
    return Block(tensor, shape, dense_strides(shape, tensor.dtype.bits // 8))


def item_bytes(site: Site, *tensors: Tensor) -> int:
    """Bytes of an element, which must be whole ones; all tensors must be of one type."""
    dtype = tensors[0].dtype
    if dtype.bits == 0 or dtype.bits % 8:
        raise site.unsupported(f"elements of type {dtype.label}; those of whole bytes are supported")
    other = next((t.dtype for t in tensors if t.dtype is not dtype), None)
    if other is not None:
        raise site.unsupported(f"operands and results of types {dtype.label} and {other.label}, one type is supported")
    return dtype.bits // 8


def loops(shape: Shape, *strides: tuple[int, ...]) -> list[Loop]:
    """The fewest nested loops over a shape: without extents of 1, axes joined that all operands run through as one."""
    found: list[Loop] = []
    for extent, *steps in zip(shape, *strides, strict=True):
        if extent == 1:
            continue
        if found and all(outer == inner * extent for outer, inner in zip(found[-1][1], steps, strict=True)):
            found[-1] = (found[-1][0] * extent, tuple(steps))
        else:
            found.append((extent, tuple(steps)))
    return found


def loop_fields(found: Sequence[Loop], axes: int, names: Sequence[str]) -> Fields:
    """Members `extent` and, by operand, distances of a kernel with `axes` loops, of which the first may be unused."""
    unused = axes - len(found)
    extents = (1,) * unused + tuple(extent for extent, _ in found)
    columns = [(0,) * unused + tuple(steps[i] for _, steps in found) for i in range(len(names))]
    return (("extent", extents), *zip(names, columns, strict=True))


def copies(site: Site, source: Block, target: Block) -> tuple[KernelCall, ...]:
    """Copy one block to another of the same shape. Kernels: `copy.h`, `strided_copy.h`."""
    item = item_bytes(site, target.tensor, source.tensor)
    if math.prod(target.shape) == 0:
        return ()
    found = loops(target.shape, source.strides, target.strides)
    last = found[-1][1] if found else (item, item)
    if len(found) > AXES + (last == (item, item)):
        axis = next(i for i, extent in enumerate(target.shape) if extent > 1)
        pairs = ((source.part(axis, i, 1), target.part(axis, i, 1)) for i in range(target.shape[axis]))
        return tuple(call for a, b in pairs for call in copies(site, a, b))
    reads, writes = (source.view(),), (target.view(),)
    if len(found) <= 1 and last == (item, item):
        fields: Fields = (("bytes", math.prod(target.shape) * item),)
        same = ((0, 0),) if reads[0].shape is None and writes[0].shape is None else ()
        return (KernelCall("copy", "copy.h", reads, writes, struct="copy", fields=fields, in_place=same),)
    run, rest = split_run(found, item)
    name, fields = ("strided_copy", inner_fields(rest, run, item))
    if len(rest) > INNER:
        name, fields = ("strided_copy_6", copy_fields(found, item))
    return (KernelCall(name, "strided_copy.h", reads, writes, struct=name, fields=fields),)


def split_run(found: list[Loop], item: int) -> tuple[int, list[Loop]]:
    """Bytes that are in one piece for input and output, and the loops around them."""
    if found and found[-1][1] == (item, item):
        return found[-1][0] * item, found[:-1]
    return item, found


def inner_fields(found: list[Loop], run: int, item: int) -> Fields:
    """The `thimble_strided_copy_params` of up to three loops."""
    return (*loop_fields(found, INNER, ("in", "out")), ("run", run), ("item", item))


def copy_fields(found: list[Loop], item: int) -> Fields:
    """The `thimble_strided_copy_6_params` of loops over input and output."""
    run, rest = split_run(found, item)
    outer, inner = rest[:-INNER], rest[-INNER:]
    return (*loop_fields(outer, INNER, ("in", "out")), ("inner", inner_fields(inner, run, item)))


def filled(tensor: Tensor, value: bytes) -> tuple[KernelCall, ...]:
    """One element everywhere in a tensor. Kernel: `fill.h`."""
    fields = (("bytes", tensor.nbytes), *value_fields(value))
    return (KernelCall("fill", "fill.h", (), (View(tensor),), struct="fill", fields=fields),) if tensor.nbytes else ()


def value_fields(value: bytes) -> Fields:
    """Members `value` and `item` for an element of 1, 2 or 4 bytes, or of any length where all are equal."""
    value = value[:1] if len(set(value)) == 1 else value
    return (("value", int.from_bytes(value, "little", signed=True)), ("item", len(value)))


def constant_numbers(site: Site, index: int) -> tuple[int, ...]:
    """The integers of an operand that says where or how far to move, which must be a constant."""
    found = integers(site.constant(index))
    if found is None:
        raise site.unsupported(f"operand {index} is of type {site.tensor(index).dtype.label}, integers are supported")
    return found
