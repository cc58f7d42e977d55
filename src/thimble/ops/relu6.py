# SPDX-License-Identifier: Apache-2.0
"""RELU6: `min(max(x, 0), 6)`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.arithmetic import accept, of_floats, scale_of
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, limits, quant_of


@dataclass(frozen=True, slots=True)
class Relu6(Unary):
    OP: ClassVar[str] = "RELU6"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The input between 0 and 6, in the input's scale whatever the output's says.

        Source: tensorflow/lite/micro/kernels/activations_common.cc.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT8, DType.INT16) is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.clip(x, np.float32(0), np.float32(6)))
        tensor, out = call.tensor(0), call.outputs[0]
        zero = quant_of(tensor).zero_point[0]
        six = min(zero + math.floor(float(np.float32(6) / scale_of(tensor)) + 0.5), limits(tensor.dtype)[1])
        return (np.clip(call.value(0), zero, six).astype(out.dtype.label).reshape(out.shape),)
