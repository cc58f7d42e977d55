# SPDX-License-Identifier: Apache-2.0
"""SELECT: each element (or each first-axis slice) from operand 1 or 2, by the booleans of operand 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.selecting import selected
from thimble.ops.shapes import operand
from thimble.ops.strided import block


@dataclass(frozen=True, slots=True)
class Select(Attrs):
    """The condition has the values' shape, or is a scalar, or a vector along their first axis."""

    OP: ClassVar[str] = "SELECT"
    OPTIONS: ClassVar[str] = "SelectOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        condition = operand(inputs, 0, "condition").shape
        x, y = operand(inputs, 1, "if true").shape, operand(inputs, 2, "if false").shape
        require(x == y, f"values of shape {list(x)} and {list(y)}: one shape for both is required")
        require(condition in (x, (), x[:1]), f"a condition of shape {list(condition)} does not select among {list(x)}")
        return (x,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `select.h`."""
        condition, shape = site.tensor(0), site.outputs[0].shape
        return selected(site, block(condition, spread(condition.shape, shape)).broadcast(shape))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Operand 1 where operand 0 holds, else operand 2, of any type; TFLM has no such kernel.

        Source: Select and RankOneSelect, tensorflow/lite/kernels/internal/reference/select.h.
        """
        condition, shape = moved(call, self.OP, (DType.BOOL,)), call.outputs[0].shape
        chosen = np.where(condition.reshape(spread(condition.shape, shape)), call.value(1), call.value(2))
        return shaped(call, np.broadcast_to(chosen, shape))


def spread(condition: Shape, shape: Shape) -> Shape:
    """The condition's shape such that it broadcasts to the values': a vector goes along their first axis."""
    return condition if condition in (shape, ()) else (*condition, *(1,) * (len(shape) - 1))
