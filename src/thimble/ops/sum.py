# SPDX-License-Identifier: Apache-2.0
"""SUM: sum along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import Reducer, sum_calls, total


@dataclass(frozen=True, slots=True)
class Sum(Reducer):
    OP: ClassVar[str] = "SUM"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `reduce.h`."""
        return sum_calls(site, mean=False)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sums in the order of the memory; integers are rescaled to the output.

        Source: EvalSumHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
        """
        return total(call, self.OP, mean=False)
