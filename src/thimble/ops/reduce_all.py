# SPDX-License-Identifier: Apache-2.0
"""REDUCE_ALL: conjunction along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import Reducer, extreme_calls, folded


@dataclass(frozen=True, slots=True)
class ReduceAll(Reducer):
    OP: ClassVar[str] = "REDUCE_ALL"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `reduce.h`."""
        return extreme_calls(site, largest=False, types=(DType.BOOL,))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Whether all elements are true.

        Source: EvalAllHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
        """
        return shaped(call, folded(call, self.OP, (DType.BOOL,)).min(axis=0, initial=True))
