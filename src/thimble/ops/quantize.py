# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE: quantized values of real elements, or a change of scale, zero point or type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.arithmetic import centred, rescaled, scale_of, stored, unsupported
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, quant_of


@dataclass(frozen=True, slots=True)
class Quantize(Unary):
    OP: ClassVar[str] = "QUANTIZE"
    OPTIONS: ClassVar[str] = "QuantizeOptions"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Quantized floats, rounded half away from zero, or integers in another scale.

        Floats beyond the range of int32 saturate, as on Arm; elsewhere C leaves open what becomes of them.

        Source: tensorflow/lite/micro/kernels/quantize_common.cc, tensorflow/lite/kernels/internal/reference/quantize.h
        and requantize.h.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        if out.dtype not in _PAIRS.get(tensor.dtype, ()) or quant_of(out).per_channel:
            raise unsupported(self.OP, (tensor, out))
        if tensor.dtype is DType.FLOAT32:
            with np.errstate(all="ignore"):
                ratio = (call.value(0) / scale_of(out)).astype(np.float64)
            rounded = np.copysign(np.floor(np.abs(np.nan_to_num(ratio)) + 0.5), ratio)
            return (stored(np.clip(rounded, -(1 << 30), 1 << 30).astype(np.int64), out),)
        multiplier = float(scale_of(tensor)) / float(scale_of(out))
        return (stored(rescaled(centred(call, 0), multiplier), out),)


_PAIRS = {
    DType.FLOAT32: (DType.INT8, DType.INT16, DType.UINT8),
    DType.INT32: (DType.INT8, DType.INT16),
    DType.INT16: (DType.INT8, DType.INT16, DType.INT32),
    DType.INT8: (DType.INT8, DType.UINT8, DType.INT16, DType.INT32),
    DType.UINT8: (DType.INT8, DType.UINT8),
}
