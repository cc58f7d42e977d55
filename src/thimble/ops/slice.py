# SPDX-License-Identifier: Apache-2.0
"""SLICE: the block of operand 0 that starts at operand 1 and has the extents of operand 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import WIDE, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand
from thimble.ops.strided import block, constant_numbers, copies


@dataclass(frozen=True, slots=True)
class Slice(Attrs):
    """An extent of -1 takes all that is left of its axis."""

    OP: ClassVar[str] = "SLICE"
    OPTIONS: ClassVar[str] = "SliceOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        begin, size = integers(operand(inputs, 1, "begin")), integers(operand(inputs, 2, "size"))
        if begin is None or size is None:
            return None
        require(len(begin) == len(size) == len(x), f"{len(begin)} starts and {len(size)} extents for {list(x)}")
        block = tuple(d - b if s == -1 else s for d, b, s in zip(x, begin, size, strict=True))
        fits = all(b >= 0 and s >= 0 and b + s <= d for d, b, s in zip(x, begin, block, strict=True))
        require(fits, f"a block of {list(size)} from {list(begin)} lies outside {list(x)}")
        return (block,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        taken, output = block(site.tensor(0)), site.outputs[0]
        for axis, first in enumerate(constant_numbers(site, 1)):
            taken = taken.part(axis, first, output.shape[axis])
        return copies(site, taken, block(output))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The block from operand 1 on, of the output's shape.

        Source: SliceEval, tensorflow/lite/micro/kernels/slice.cc.
        """
        x, begin = moved(call, self.OP, (*WIDE, DType.BOOL)), numbers(call, 1)
        return shaped(call, x[tuple(slice(b, b + s) for b, s in zip(begin, call.outputs[0].shape, strict=True))])
