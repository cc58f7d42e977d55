# SPDX-License-Identifier: Apache-2.0
"""LOGICAL_NOT: negation of booleans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, plain
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class LogicalNot(Unary):
    OP: ClassVar[str] = "LOGICAL_NOT"
    OPTIONS: ClassVar[str] = "LogicalNotOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `convert.h`."""
        common_type(site, DType.BOOL)
        return each(site, "logical_not", "convert.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Booleans.

        Source: tensorflow/lite/micro/kernels/elementwise.cc.
        """
        accept(self.OP, call, DType.BOOL)
        return (plain(np.logical_not(call.value(0)), call.outputs[0]),)
