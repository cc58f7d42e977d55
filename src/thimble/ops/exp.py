# SPDX-License-Identifier: Apache-2.0
"""EXP: exponential of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ops.arithmetic import of_floats
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Exp(Unary):
    OP: ClassVar[str] = "EXP"
    OPTIONS: ClassVar[str] = "ExpOptions"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Exponential function.

        Source: tensorflow/lite/micro/kernels/exp.cc, tensorflow/lite/kernels/internal/reference/exp.h.
        """
        return of_floats(self.OP, call, np.exp)
