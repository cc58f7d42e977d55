# SPDX-License-Identifier: Apache-2.0
"""DEQUANTIZE: real values of quantized elements; the element types say between which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.arithmetic import QUANTIZED, centred, plain, scale_of, unsupported
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, quant_of


@dataclass(frozen=True, slots=True)
class Dequantize(Unary):
    OP: ClassVar[str] = "DEQUANTIZE"
    OPTIONS: ClassVar[str] = "DequantizeOptions"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Real values as float32; float16 constants become float32 too.

        Source: tensorflow/lite/micro/kernels/dequantize.cc, tensorflow/lite/kernels/internal/reference/dequantize.h.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        types = (*QUANTIZED, DType.FLOAT16)
        if tensor.dtype not in types or out.dtype is not DType.FLOAT32 or quant_of(tensor).per_channel:
            raise unsupported(self.OP, (tensor, out))
        if tensor.dtype is DType.FLOAT16:
            return (plain(call.value(0), out),)
        return (plain(float(scale_of(tensor)) * centred(call, 0).astype(np.float64), out),)
