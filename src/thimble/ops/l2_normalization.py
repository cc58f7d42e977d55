# SPDX-License-Identifier: Apache-2.0
"""L2_NORMALIZATION: division by the Euclidean norm along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.arithmetic import accept, centred, plain
from thimble.ops.elementwise import Unary
from thimble.ops.fixed_point import inverse_sqrt
from thimble.ops.numerics import Array, Call, limits, multiply_by_quantized_multiplier, quant_of
from thimble.ops.reduction import along_last, row_length

LONGEST = (1 << 31) // 255**2
"""Elements of an int8 row whose squares surely add up to an int32."""


@dataclass(frozen=True, slots=True)
class L2Normalization(Unary):
    OP: ClassVar[str] = "L2_NORMALIZATION"
    OPTIONS: ClassVar[str] = "L2NormOptions"
    fused_activation_function: Activation = Activation.NONE

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `l2_normalization.h`."""
        x, out = site.tensor(0), site.outputs[0]
        if x.dtype not in (DType.FLOAT32, DType.INT8) or out.dtype is not x.dtype:
            raise site.unsupported(f"{x.dtype.label} giving {out.dtype.label}; float32 and int8 can be")
        if x.dtype is DType.INT8 and row_length(x) > LONGEST:
            raise site.unsupported(f"int8 rows of more than {LONGEST} elements")
        name, struct = f"l2_normalization_{'f32' if x.dtype is DType.FLOAT32 else 's8'}", "l2_normalization"
        fields = (*along_last(x), ("in_zero", quant_of(x).zero_point[0]))
        call = KernelCall(name, f"{struct}.h", whole(x), whole(out), (), struct, fields, in_place=((0, 0),))
        return (call,) if out.nbytes else ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Divided by the length along the last axis; int8 gives steps of 1/128.

        Source: tensorflow/lite/micro/kernels/l2norm.cc,
        tensorflow/lite/kernels/internal/reference/l2normalization.h and integer_ops/l2normalization.h.
        """
        out = call.outputs[0]
        if accept(self.OP, call, DType.FLOAT32, DType.INT8) is DType.FLOAT32:
            x = call.value(0)
            length = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
            return (plain(x / np.maximum(length, np.float32(1e-6)), out),)
        y = centred(call, 0)
        mantissa, shift = inverse_sqrt(np.sum(y * y, axis=-1, keepdims=True))
        scaled = multiply_by_quantized_multiplier(y, mantissa, shift + 7)
        return (np.clip(scaled, *limits(out.dtype)).astype(out.dtype.label).reshape(out.shape),)
