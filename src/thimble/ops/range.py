# SPDX-License-Identifier: Apache-2.0
"""RANGE: the numbers from operand 0 up to, but without, operand 1 in steps of operand 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class Range(Attrs):
    OP: ClassVar[str] = "RANGE"
    OPTIONS: ClassVar[str] = "RangeOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        bounds = [integers(operand(inputs, i, what)) for i, what in enumerate(("start", "limit", "step"))]
        known = [b for b in bounds if b is not None]
        if len(known) < len(bounds):
            return None
        require(all(len(b) == 1 for b in known), "start, limit and step must be scalars")
        start, limit, step = (b[0] for b in known)
        require(step != 0, "a step of 0 is not allowed")
        return ((max(0, -((start - limit) // step)),),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """No kernel: with constant operands, the result is one (`rewrites/fold_constants.py`)."""
        raise site.unsupported("bounds that are only known at run time; constants are supported")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The first number and those after it, each that many steps further; TFLM has no such kernel.

        Source: CalculateRange, tensorflow/lite/kernels/range.cc.
        """
        start, _, step = (moved(call, self.OP, (DType.INT32, DType.INT64), i).reshape(()) for i in range(3))
        return shaped(call, start + step * np.arange(call.outputs[0].elements))
