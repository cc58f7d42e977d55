# SPDX-License-Identifier: Apache-2.0
"""ELU: exponential linear unit, `x` where positive, else `exp(x) - 1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, by_table, of_floats, scale_of
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, limits, quant_of
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class Elu(Unary):
    OP: ClassVar[str] = "ELU"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        common_type(site, DType.FLOAT32)
        return each(site, "elu_f32", "unary_f32.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """`exp(x) - 1` of negative elements; int8 by a table of floats.

        Source: tensorflow/lite/micro/kernels/elu.cc, tensorflow/lite/kernels/internal/reference/elu.h.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT8) is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.where(x < 0, np.expm1(x), x))
        tensor, out = call.tensor(0), call.outputs[0]

        def level(q: Array) -> Array:
            x = scale_of(tensor) * (q - quant_of(tensor).zero_point[0]).astype(np.float32)
            power = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32) - np.float32(1)
            y = (np.where(x < 0, power, x) * (np.float32(1) / scale_of(out))).astype(np.float64)
            rounded = np.copysign(np.floor(np.abs(y) + 0.5), y) + quant_of(out).zero_point[0]
            clamped: Array = np.clip(rounded, *limits(out.dtype))
            return clamped

        return by_table(call, level)
