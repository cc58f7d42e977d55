# SPDX-License-Identifier: Apache-2.0
"""FILL: the scalar operand 1 repeated over the shape that operand 0 holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand
from thimble.ops.strided import block, copies


@dataclass(frozen=True, slots=True)
class Fill(Attrs):
    OP: ClassVar[str] = "FILL"
    OPTIONS: ClassVar[str] = "FillOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        wanted = integers(operand(inputs, 0, "shape"))
        if wanted is None:
            return None
        require(min(wanted, default=0) >= 0, f"shape {list(wanted)} is not allowed")
        return (wanted,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        value, output = site.tensor(1), site.outputs[0]
        scalar = block(value, (1,) * len(output.shape))
        return copies(site, scalar.broadcast(output.shape), block(output))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The scalar of operand 1 everywhere.

        Source: FillEval, tensorflow/lite/micro/kernels/fill.cc.
        """
        value = moved(call, self.OP, (DType.FLOAT32, DType.INT32, DType.INT8), 1)
        return shaped(call, np.broadcast_to(value.reshape(()), call.outputs[0].shape))
