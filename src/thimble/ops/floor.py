# SPDX-License-Identifier: Apache-2.0
"""FLOOR: each element rounded down to an integer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ops.arithmetic import of_floats
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Floor(Unary):
    OP: ClassVar[str] = "FLOOR"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Rounded down.

        Source: tensorflow/lite/micro/kernels/floor.cc, tensorflow/lite/kernels/internal/reference/floor.h.
        """
        return of_floats(self.OP, call, np.floor)
