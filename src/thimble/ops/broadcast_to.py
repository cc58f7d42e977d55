# SPDX-License-Identifier: Apache-2.0
"""BROADCAST_TO: the input repeated to the shape that operand 1 holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import broadcast, integers, operand
from thimble.ops.strided import block, copies


@dataclass(frozen=True, slots=True)
class BroadcastTo(Attrs):
    OP: ClassVar[str] = "BROADCAST_TO"
    OPTIONS: ClassVar[str] = "BroadcastToOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, wanted = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "shape"))
        if wanted is None:
            return None
        require(broadcast(x, wanted) == wanted, f"shape {list(x)} does not broadcast to {list(wanted)}")
        return (wanted,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        output = site.outputs[0]
        return copies(site, block(site.tensor(0)).broadcast(output.shape), block(output))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The input repeated, of any type.

        Source: BroadcastToEval, tensorflow/lite/micro/kernels/broadcast_to.cc.
        """
        return shaped(call, np.broadcast_to(moved(call, self.OP), call.outputs[0].shape))
