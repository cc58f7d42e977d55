# SPDX-License-Identifier: Apache-2.0
"""PAD: the input with zeros around it, as many as operand 1 says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Rows, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import pad_with
from thimble.ops.numerics import Array, Call
from thimble.ops.padding import padded_calls, padded_rows
from thimble.ops.shapes import integers, operand, padded


@dataclass(frozen=True, slots=True)
class Pad(Attrs):
    """Operand 1 holds `[rank,2]`: how many elements to add before and after, along each axis."""

    OP: ClassVar[str] = "PAD"
    OPTIONS: ClassVar[str] = "PadOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, pads = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "paddings"))
        return None if pads is None else (padded(x, pads),)

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        return padded_rows(inputs, output)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pad.h`, `pad_rows.h`; `strided_copy.h` for a value of run time."""
        return padded_calls(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Zeros are zero points where elements have 8 bits; operand 2, if there, is used instead.

        Source: PadEval, tensorflow/lite/micro/kernels/pad.cc.
        """
        return pad_with(call, self.OP)
