# SPDX-License-Identifier: Apache-2.0
"""REDUCE_MIN: minimum along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import Reducer, extreme, extreme_calls


@dataclass(frozen=True, slots=True)
class ReduceMin(Reducer):
    OP: ClassVar[str] = "REDUCE_MIN"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `reduce.h`."""
        return extreme_calls(site, largest=False)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The smallest element.

        Source: EvalMinHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
        """
        return extreme(call, self.OP, largest=False)
