# SPDX-License-Identifier: Apache-2.0
"""RANK: how many axes the input has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class Rank(Attrs):
    OP: ClassVar[str] = "RANK"
    OPTIONS: ClassVar[str] = "RankOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ((),)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        return (len(operand(inputs, 0, "input").shape),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """No kernel: the result is a constant (`rewrites/fold_constants.py`)."""
        raise site.unsupported("a rank that is only known at run time")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """How many axes the input has; TFLM has no such kernel.

        Source: rank::Eval, tensorflow/lite/kernels/rank.cc.
        """
        return shaped(call, np.array(len(call.tensor(0).shape)))
