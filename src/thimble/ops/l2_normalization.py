# SPDX-License-Identifier: Apache-2.0
"""L2_NORMALIZATION: division by the Euclidean norm along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, DType
from thimble.ops.arithmetic import accept, centred, plain
from thimble.ops.elementwise import Unary
from thimble.ops.fixed_point import inverse_sqrt
from thimble.ops.numerics import Array, Call, limits, multiply_by_quantized_multiplier


@dataclass(frozen=True, slots=True)
class L2Normalization(Unary):
    OP: ClassVar[str] = "L2_NORMALIZATION"
    OPTIONS: ClassVar[str] = "L2NormOptions"
    fused_activation_function: Activation = Activation.NONE

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
