# SPDX-License-Identifier: Apache-2.0
"""LOGICAL_AND: elementwise conjunction of booleans with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, plain
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, pairwise


@dataclass(frozen=True, slots=True)
class LogicalAnd(Binary):
    OP: ClassVar[str] = "LOGICAL_AND"
    OPTIONS: ClassVar[str] = "LogicalAndOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_plain.h`."""
        common_type(site, DType.BOOL)
        return pairwise(site, "logical_and", "pairwise_plain.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Booleans.

        Source: tensorflow/lite/micro/kernels/logical_common.cc.
        """
        accept(self.OP, call, DType.BOOL)
        return (plain(np.logical_and(call.value(0), call.value(1)), call.outputs[0]),)
