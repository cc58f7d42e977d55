# SPDX-License-Identifier: Apache-2.0
"""REDUCE_MAX: maximum along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import Reducer, extreme, extreme_calls


@dataclass(frozen=True, slots=True)
class ReduceMax(Reducer):
    OP: ClassVar[str] = "REDUCE_MAX"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `reduce.h`."""
        return extreme_calls(site, largest=True)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The largest element.

        Source: EvalMaxHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
        """
        return extreme(call, self.OP, largest=True)
