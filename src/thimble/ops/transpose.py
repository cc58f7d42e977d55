# SPDX-License-Identifier: Apache-2.0
"""TRANSPOSE: the input with its axes in the order of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import MEDIUM, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, integers, operand
from thimble.ops.strided import block, constant_numbers, copies


@dataclass(frozen=True, slots=True)
class Transpose(Attrs):
    OP: ClassVar[str] = "TRANSPOSE"
    OPTIONS: ClassVar[str] = "TransposeOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, order = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "order"))
        if order is None:
            return None
        axes = tuple(axis_of(a, len(x)) for a in order)
        require(sorted(axes) == list(range(len(x))), f"order {list(order)} is not a permutation of {len(x)} axes")
        return (tuple(x[a] for a in axes),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x, rank = site.tensor(0), len(site.tensor(0).shape)
        order = (axis_of(axis, rank) for axis in constant_numbers(site, 1))
        return copies(site, block(x).turned(*order), block(site.outputs[0]))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The axes in the order of operand 1.

        Source: TransposeEval, tensorflow/lite/micro/kernels/transpose.cc.
        """
        return shaped(call, moved(call, self.OP, MEDIUM).transpose(numbers(call, 1)))
