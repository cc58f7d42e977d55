# SPDX-License-Identifier: Apache-2.0
"""SQRT: square root of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ops.arithmetic import of_floats
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Sqrt(Unary):
    OP: ClassVar[str] = "SQRT"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Square root.

        Source: tensorflow/lite/micro/kernels/elementwise.cc.
        """
        return of_floats(self.OP, call, np.sqrt)
