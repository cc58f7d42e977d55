# SPDX-License-Identifier: Apache-2.0
"""BROADCAST_ARGS: the shape to which two shapes, given as vectors, broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class BroadcastArgs(Attrs):
    OP: ClassVar[str] = "BROADCAST_ARGS"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, y = operand(inputs, 0, "left").shape, operand(inputs, 1, "right").shape
        require(len(x) == 1 and len(y) == 1, f"operands of shape {list(x)} and {list(y)}: two vectors are required")
        return ((max(x[0], y[0]),),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """No kernel: with constant operands, the result is one (`rewrites/fold_constants.py`)."""
        raise site.unsupported("shapes that are only known at run time; constants are supported")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The shape to which two shapes broadcast.

        Source: BroadcastArgsEval, tensorflow/lite/micro/kernels/broadcast_args.cc.
        """
        allowed = (DType.INT32, DType.INT64)
        x, y = moved(call, self.OP, allowed), moved(call, self.OP, allowed, 1)
        rank = max(len(x), len(y))
        left, right = np.pad(x, (rank - len(x), 0), constant_values=1), np.pad(y, (rank - len(y), 0), constant_values=1)
        return shaped(call, np.where(left == 1, right, left))
