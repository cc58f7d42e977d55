# SPDX-License-Identifier: Apache-2.0
"""RSQRT: reciprocal square root of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, centred, of_floats, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.fixed_point import inverse_sqrt
from thimble.ops.numerics import Array, Call, limits, multiply_by_quantized_multiplier, quantize_multiplier
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class Rsqrt(Unary):
    OP: ClassVar[str] = "RSQRT"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        common_type(site, DType.FLOAT32)
        return each(site, "rsqrt_f32", "unary_f32.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """`1 / sqrt(x)`; int8 elements at the zero point give the largest value, below it TFLM fails.

        Source: tensorflow/lite/micro/kernels/elementwise.cc.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT8) is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.float32(1) / np.sqrt(x))
        x, out = centred(call, 0), call.outputs[0]
        mantissa, shift = inverse_sqrt(x)
        root = multiply_by_quantized_multiplier(np.int64(1), mantissa, shift + _SHIFT)
        scale = float(np.sqrt(scale_of(call.tensor(0))) * scale_of(out))
        factor, exponent = quantize_multiplier(1.0 / scale)
        result = stored(multiply_by_quantized_multiplier(root, factor, exponent - _SHIFT), out)
        return (np.where(x <= 0, limits(out.dtype)[1], result).astype(out.dtype.label).reshape(out.shape),)


_SHIFT = 20  # fraction bits of the root
