# SPDX-License-Identifier: Apache-2.0
"""SELECT_V2: each element from operand 1 or 2, by the booleans of operand 0; all three broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import MEDIUM, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.selecting import selected
from thimble.ops.shapes import broadcast, operand
from thimble.ops.strided import block


@dataclass(frozen=True, slots=True)
class SelectV2(Attrs):
    OP: ClassVar[str] = "SELECT_V2"
    OPTIONS: ClassVar[str] = "SelectV2Options"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        names = ("condition", "if true", "if false")
        return (broadcast(*(operand(inputs, i, what).shape for i, what in enumerate(names))),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `select.h`."""
        return selected(site, block(site.tensor(0)).broadcast(site.outputs[0].shape))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Operand 1 where operand 0 holds, else operand 2; scales are not looked at.

        Source: SelectEval, tensorflow/lite/micro/kernels/select.cc.
        """
        x, y = moved(call, self.OP, MEDIUM, 1), moved(call, self.OP, MEDIUM, 2)
        chosen = np.where(moved(call, self.OP, (DType.BOOL,)), x, y)
        return shaped(call, np.broadcast_to(chosen, call.outputs[0].shape))
