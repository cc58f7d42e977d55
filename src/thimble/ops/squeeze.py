# SPDX-License-Identifier: Apache-2.0
"""SQUEEZE: the input without the named axes, which have extent 1; without names, without all such axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.lowering import copied
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, operand


@dataclass(frozen=True, slots=True)
class Squeeze(Attrs):
    OP: ClassVar[str] = "SQUEEZE"
    OPTIONS: ClassVar[str] = "SqueezeOptions"
    squeeze_dims: tuple[int, ...] = ()

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        gone = {axis_of(a, len(x)) for a in self.squeeze_dims} or {i for i, d in enumerate(x) if d == 1}
        require(all(x[i] == 1 for i in gone), f"axes {sorted(gone)} of {list(x)} must have extent 1")
        return (tuple(d for i, d in enumerate(x) if i not in gone),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `copy.h`."""
        return copied(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The same elements, of any type.

        Source: SqueezeEval, tensorflow/lite/micro/kernels/squeeze.cc.
        """
        return shaped(call, moved(call, self.OP))
