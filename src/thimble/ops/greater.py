# SPDX-License-Identifier: Apache-2.0
"""GREATER: elementwise `left > right` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import compared
from thimble.ops.comparison import comparison
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Greater(Binary):
    OP: ClassVar[str] = "GREATER"
    OPTIONS: ClassVar[str] = "GreaterOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `compare.h`, `table_8.h`."""
        return comparison(site, self, "less", swapped=True, types=_TYPES)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Booleans; int8 operands are brought to one scale first.

        Source: tensorflow/lite/micro/kernels/comparisons.cc, tensorflow/lite/kernels/internal/reference/comparisons.h.
        """
        return compared(self.OP, call, np.greater, *_TYPES)


_TYPES = (DType.FLOAT32, DType.INT32, DType.INT64, DType.INT8)
