# SPDX-License-Identifier: Apache-2.0
"""Shape rules of the operators that compute each output element from the input elements at its place."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.ir import Attrs, Rows, Shape, Tensor
from thimble.ops.rows import same_rows
from thimble.ops.shapes import broadcast, operand


@dataclass(frozen=True, slots=True)
class Unary(Attrs):
    """The output has the shape of operand 0."""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return (operand(inputs, 0, "input").shape,)

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        return same_rows(inputs, output)


@dataclass(frozen=True, slots=True)
class Binary(Attrs):
    """The output has the shape to which operands 0 and 1 broadcast."""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return (broadcast(operand(inputs, 0, "left").shape, operand(inputs, 1, "right").shape),)

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        return same_rows(inputs, output)
