# SPDX-License-Identifier: Apache-2.0
"""GREATER: elementwise `left > right` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.arithmetic import compared
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Greater(Binary):
    OP: ClassVar[str] = "GREATER"
    OPTIONS: ClassVar[str] = "GreaterOptions"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Booleans; int8 operands are brought to one scale first.

        Source: tensorflow/lite/micro/kernels/comparisons.cc, tensorflow/lite/kernels/internal/reference/comparisons.h.
        """
        types = (DType.FLOAT32, DType.INT32, DType.INT64, DType.INT8)
        return compared(self.OP, call, np.greater, *types)
