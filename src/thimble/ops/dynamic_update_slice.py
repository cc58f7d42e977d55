# SPDX-License-Identifier: Apache-2.0
"""DYNAMIC_UPDATE_SLICE: operand 0 with a block replaced by operand 1, at the position of operand 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.movement import WIDE, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand
from thimble.ops.strided import AXES, block, copy_fields, item_bytes, loops


@dataclass(frozen=True, slots=True)
class DynamicUpdateSlice(Attrs):
    OP: ClassVar[str] = "DYNAMIC_UPDATE_SLICE"
    OPTIONS: ClassVar[str] = "DynamicUpdateSliceOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, update = operand(inputs, 0, "input").shape, operand(inputs, 1, "update").shape
        fits = len(x) == len(update) and all(u <= d for u, d in zip(update, x, strict=True))
        require(fits, f"an update of shape {list(update)} does not fit in {list(x)}")
        return (x,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `update_slice.h`."""
        x, update, begin, output = site.tensor(0), site.tensor(1), site.tensor(2), site.outputs[0]
        rank, item = len(x.shape), item_bytes(site, output, x, update)
        if rank > AXES:
            raise site.unsupported(f"{rank} axes, {AXES} are supported")
        if begin.dtype not in (DType.INT32, DType.INT64):
            raise site.unsupported(f"a position of type {begin.dtype.label}, int32 and int64 are supported")
        if not x.nbytes:
            return ()
        strides, unused = block(output).strides, (0,) * (AXES - rank)
        found = loops(update.shape, block(update).strides, strides)
        fields = (
            ("bytes", x.nbytes),
            ("rank", rank),
            ("room", tuple(d - u for d, u in zip(x.shape, update.shape, strict=True)) + unused),
            ("stride", strides + unused),
            ("wide", int(begin.dtype is DType.INT64)),
            ("block", copy_fields(found, item)),
        )
        name, reads = "update_slice", whole(x, update, begin)
        call = KernelCall(name, f"{name}.h", reads, whole(output), struct=name, fields=fields, in_place=((0, 0),))
        return (call,)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Operand 1 written over operand 0, moved so far that it lies inside.

        Source: EvalImpl, tensorflow/lite/micro/kernels/dynamic_update_slice.cc.
        """
        x, update = moved(call, self.OP, WIDE).copy(), call.value(1)
        room = [d - u for d, u in zip(x.shape, update.shape, strict=True)]
        begin = [min(max(0, b), r) for b, r in zip(numbers(call, 2), room, strict=True)]
        x[tuple(slice(b, b + u) for b, u in zip(begin, update.shape, strict=True))] = update
        return shaped(call, x)
