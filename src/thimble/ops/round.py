# SPDX-License-Identifier: Apache-2.0
"""ROUND: each element rounded to the nearest integer, halves to even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import of_floats
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class Round(Unary):
    OP: ClassVar[str] = "ROUND"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`."""
        common_type(site, DType.FLOAT32)
        return each(site, "round_f32", "unary_f32.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """To the nearest whole number, halves to the even one.

        Source: tensorflow/lite/micro/kernels/round.cc, tensorflow/lite/kernels/internal/reference/round.h.
        """
        return of_floats(self.OP, call, np.rint)
