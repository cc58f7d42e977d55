# SPDX-License-Identifier: Apache-2.0
"""LOGISTIC: sigmoid of each element, `1 / (1 + exp(-x))`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops import fixed_point
from thimble.ops.arithmetic import accept, by_floats, by_table, of_floats, scale_of
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, quant_of, rounding_shift_right
from thimble.ops.pointwise import common_type, each
from thimble.ops.sigmoid import interpolated, logistic16, to_q4


@dataclass(frozen=True, slots=True)
class Logistic(Unary):
    OP: ClassVar[str] = "LOGISTIC"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`, `sigmoid_s16.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        if common_type(site, DType.FLOAT32, DType.INT16) is DType.FLOAT32:
            return each(site, "logistic_f32", "unary_f32.h")
        return interpolated(site, hyperbolic=False)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """int8 in fixed point with 4 integer bits, int16 by a table of 256 entries, uint8 by LiteRT's table.

        Source: tensorflow/lite/micro/kernels/logistic.cc and logistic_common.cc,
        tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h.
        """
        types = (DType.FLOAT32, DType.INT8, DType.INT16, DType.UINT8)
        dtype, tensor = accept(self.OP, call, *types), call.tensor(0)
        if dtype is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.float32(1) / (np.float32(1) + np.exp(-x)))
        if dtype is DType.UINT8:
            return by_floats(call, lambda x: np.float32(1) / (np.float32(1) + np.exp(-x)))
        if dtype is DType.INT16:
            return (logistic16(call.value(0), scale_of(tensor)).reshape(call.outputs[0].shape),)

        def level(q: Array) -> Array:
            x, beyond = to_q4(q - quant_of(tensor).zero_point[0], scale_of(tensor))
            y = np.clip(rounding_shift_right(fixed_point.logistic(x, 4), 23) - 128, -128, 127)
            return np.where(beyond == 0, y, np.where(beyond < 0, -128, 127))

        return by_table(call, level)
