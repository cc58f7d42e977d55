# SPDX-License-Identifier: Apache-2.0
"""CAST: each element in another type; the tensors' own types decide, as files often omit the attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.arithmetic import plain, unsupported
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Cast(Unary):
    OP: ClassVar[str] = "CAST"
    OPTIONS: ClassVar[str] = "CastOptions"
    in_data_type: DType = DType.FLOAT32
    out_data_type: DType = DType.FLOAT32

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Each element as C converts it: fractions are cut off, the lowest bits of integers are kept.

        Source: tensorflow/lite/micro/kernels/cast.cc.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        numbers = (DType.INT8, DType.INT16, DType.INT32, DType.UINT32, DType.FLOAT32)
        if tensor.dtype not in (*numbers, DType.BOOL) or out.dtype not in numbers:
            raise unsupported(self.OP, (tensor, out))
        x = call.value(0)
        with np.errstate(all="ignore"):
            if tensor.dtype is DType.FLOAT32 and out.dtype is not DType.FLOAT32:
                x = x.astype(np.int64 if out.dtype is DType.UINT32 else np.int32)
            return (plain(x, out),)
