# SPDX-License-Identifier: Apache-2.0
"""FLOOR_DIV: elementwise quotient rounded down, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, plain
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call, wrap32
from thimble.ops.pointwise import common_type, pairwise, plain_s32


@dataclass(frozen=True, slots=True)
class FloorDiv(Binary):
    OP: ClassVar[str] = "FLOOR_DIV"
    OPTIONS: ClassVar[str] = "FloorDivOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `pairwise_plain.h`."""
        if common_type(site, DType.FLOAT32, DType.INT32) is DType.INT32:
            return plain_s32(site, "floor_div_s32")
        return pairwise(site, "floor_div_f32", "pairwise_f32.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Quotient rounded down; that of floats is computed in double precision. int32 is LiteRT's only.

        Source: tensorflow/lite/micro/kernels/floor_div.cc, tensorflow/lite/kernels/internal/reference/floor_div.h.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT32) is DType.INT32:
            left, right = (call.value(i).astype(np.int64) for i in (0, 1))
            quotient = np.where(right == 0, 0, left // np.where(right == 0, 1, right))
            return (plain(wrap32(quotient), call.outputs[0]),)
        with np.errstate(all="ignore"):
            return (plain(np.floor(call.value(0).astype(np.float64) / call.value(1)), call.outputs[0]),)
