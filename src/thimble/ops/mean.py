# SPDX-License-Identifier: Apache-2.0
"""MEAN: mean along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import Reducer, sum_calls, total


@dataclass(frozen=True, slots=True)
class Mean(Reducer):
    OP: ClassVar[str] = "MEAN"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `reduce.h`."""
        return sum_calls(site, mean=True)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sums divided by the number of elements.

        Source: EvalMeanHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
        """
        return total(call, self.OP, mean=True)
