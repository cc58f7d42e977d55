# SPDX-License-Identifier: Apache-2.0
"""UNPACK: one axis taken apart, into an output for each of its elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import WIDE, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import MOST_OUTPUTS, axis_of, operand
from thimble.ops.strided import block, copies


@dataclass(frozen=True, slots=True)
class Unpack(Attrs):
    OP: ClassVar[str] = "UNPACK"
    OPTIONS: ClassVar[str] = "UnpackOptions"
    num: int = 0
    axis: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        axis = axis_of(self.axis, len(x))
        require(x[axis] == self.num, f"axis {axis} of {list(x)} has {x[axis]} elements, the attributes say {self.num}")
        require(self.num <= MOST_OUTPUTS, f"{self.num} outputs, {MOST_OUTPUTS} are the most allowed")
        return (x[:axis] + x[axis + 1 :],) * self.num

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x = block(site.tensor(0))
        axis = axis_of(self.axis, len(x.shape))
        parts = [(x.part(axis, i, 1), output) for i, output in enumerate(site.outputs)]
        return tuple(call for part, y in parts for call in copies(site, part, block(y, part.shape)))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """One output for each index along the axis.

        Source: UnpackEval, tensorflow/lite/micro/kernels/unpack.cc.
        """
        x = moved(call, self.OP, WIDE)
        return shaped(call, *np.moveaxis(x, self.axis, 0))
