# SPDX-License-Identifier: Apache-2.0
"""FLOOR_DIV: elementwise quotient rounded down, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.arithmetic import accept, plain
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class FloorDiv(Binary):
    OP: ClassVar[str] = "FLOOR_DIV"
    OPTIONS: ClassVar[str] = "FloorDivOptions"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Quotient of floats rounded down; it is computed in double precision.

        Source: tensorflow/lite/micro/kernels/floor_div.cc, tensorflow/lite/kernels/internal/reference/floor_div.h.
        """
        accept(self.OP, call, DType.FLOAT32)
        with np.errstate(all="ignore"):
            return (plain(np.floor(call.value(0).astype(np.float64) / call.value(1)), call.outputs[0]),)
