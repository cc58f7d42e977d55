# SPDX-License-Identifier: Apache-2.0
"""RESHAPE: the same elements under another shape, given by operand 1 or, without it, by the attribute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.lowering import copied
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class Reshape(Attrs):
    OP: ClassVar[str] = "RESHAPE"
    OPTIONS: ClassVar[str] = "ReshapeOptions"
    new_shape: tuple[int, ...] = ()

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input")
        given = len(inputs) > 1 and inputs[1] is not None
        # Old files write a scalar's shape as [0] in the attribute.
        wanted = integers(inputs[1]) if given else () if self.new_shape == (0,) else self.new_shape
        if wanted is None:
            return None
        require(all(d >= -1 for d in wanted) and wanted.count(-1) <= 1, f"shape {list(wanted)} is not allowed")
        known = math.prod(d for d in wanted if d >= 0)
        if -1 in wanted:
            require(known > 0 and x.elements % known == 0, f"{x.elements} elements do not divide into {list(wanted)}")
            wanted = tuple(x.elements // known if d == -1 else d for d in wanted)
        require(math.prod(wanted) == x.elements, f"{x.elements} elements cannot take the shape {list(wanted)}")
        return (wanted,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        return copied(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The same elements, of any type.

        Source: ReshapeEval, tensorflow/lite/micro/kernels/reshape.cc.
        """
        return shaped(call, moved(call, self.OP))
