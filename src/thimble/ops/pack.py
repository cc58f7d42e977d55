# SPDX-License-Identifier: Apache-2.0
"""PACK: tensors of one shape stacked along a new axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import WIDE, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, joined, operand
from thimble.ops.strided import block, copies


@dataclass(frozen=True, slots=True)
class Pack(Attrs):
    OP: ClassVar[str] = "PACK"
    OPTIONS: ClassVar[str] = "PackOptions"
    values_count: int = 0
    axis: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        shapes = [operand(inputs, i, "input").shape for i in range(max(1, len(inputs)))]
        require(len(set(shapes)) == 1, f"the shapes {[list(s) for s in shapes]} differ, one for all is required")
        require(len(shapes) == self.values_count, f"{len(shapes)} operands, the attributes say {self.values_count}")
        axis = axis_of(self.axis, len(shapes[0]) + 1)
        return ((*shapes[0][:axis], len(shapes), *shapes[0][axis:]),)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        return joined(inputs) if self.axis == 0 else None

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        parts, joined_block = [site.tensor(i) for i in range(len(site.inputs))], block(site.outputs[0])
        axis = axis_of(self.axis, len(joined_block.shape))
        places = (joined_block.part(axis, i, 1) for i in range(len(parts)))
        pairs = zip(parts, places, strict=True)
        return tuple(call for x, place in pairs for call in copies(site, block(x, place.shape), place))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The operands along a new axis; their scales are not looked at.

        Source: PackEval, tensorflow/lite/micro/kernels/pack.cc.
        """
        parts = [moved(call, self.OP, (*WIDE, DType.INT64), i) for i in range(len(call.inputs))]
        return shaped(call, np.stack(parts, axis=self.axis))
