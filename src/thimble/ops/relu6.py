# SPDX-License-Identifier: Apache-2.0
"""RELU6: `min(max(x, 0), 6)`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, of_floats, scale_of
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, limits, quant_of
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class Relu6(Unary):
    OP: ClassVar[str] = "RELU6"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        if common_type(site, DType.FLOAT32, DType.INT16) is DType.FLOAT32:
            return each(site, "relu6_f32", "unary_f32.h")
        low, high = _bounds(site.tensor(0))
        fields = (("slope", 1), ("offset", 0), ("low", low), ("high", high))
        return each(site, "clamp_s16", "clamp.h", fields, struct="clamp")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The input between 0 and 6, in the input's scale whatever the output's says.

        Source: tensorflow/lite/micro/kernels/activations_common.cc.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT8, DType.INT16) is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.clip(x, np.float32(0), np.float32(6)))
        tensor, out = call.tensor(0), call.outputs[0]
        return (np.clip(call.value(0), *_bounds(tensor)).astype(out.dtype.label).reshape(out.shape),)


def _bounds(tensor: Tensor) -> tuple[int, int]:
    """What 0 and 6 are in the tensor's scale, where they exist."""
    zero = quant_of(tensor).zero_point[0]
    return zero, min(zero + math.floor(float(np.float32(6) / scale_of(tensor)) + 0.5), limits(tensor.dtype)[1])
