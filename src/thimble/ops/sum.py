# SPDX-License-Identifier: Apache-2.0
"""SUM: sum along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import Reducer, total


@dataclass(frozen=True, slots=True)
class Sum(Reducer):
    OP: ClassVar[str] = "SUM"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sums in the order of the memory; integers are rescaled to the output.

        Source: EvalSumHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
        """
        return total(call, self.OP, mean=False)
