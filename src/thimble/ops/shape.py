# SPDX-License-Identifier: Apache-2.0
"""SHAPE: the extents of the input, as a vector of type `out_type`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import shaped, unsupported
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class ShapeOf(Attrs):
    OP: ClassVar[str] = "SHAPE"
    OPTIONS: ClassVar[str] = "ShapeOptions"
    out_type: DType = DType.INT32

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ((len(operand(inputs, 0, "input").shape),),)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        return operand(inputs, 0, "input").shape

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """No kernel: the result is a constant (`rewrites/fold_constants.py`)."""
        raise site.unsupported("a shape that is only known at run time")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The extents of the input, of any type.

        Source: ShapeEval, tensorflow/lite/micro/kernels/shape.cc.
        """
        if call.outputs[0].dtype is not DType.INT32:
            raise unsupported(self.OP, f"type {call.outputs[0].dtype.label}")
        return shaped(call, np.array(call.tensor(0).shape, np.int32))
