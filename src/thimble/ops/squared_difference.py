# SPDX-License-Identifier: Apache-2.0
"""SQUARED_DIFFERENCE: elementwise `(left - right) ** 2` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, centred, plain, rescaled, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, pairwise, plain_s32
from thimble.ops.scaling import combined


@dataclass(frozen=True, slots=True)
class SquaredDifference(Binary):
    OP: ClassVar[str] = "SQUARED_DIFFERENCE"
    OPTIONS: ClassVar[str] = "SquaredDifferenceOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `pairwise_plain.h`, `table_8.h`, `pairwise_scaled.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        dtype = common_type(site, DType.FLOAT32, DType.INT32, DType.INT8, DType.INT16)
        if dtype is DType.FLOAT32:
            return pairwise(site, "squared_difference_f32", "pairwise_f32.h")
        if dtype is DType.INT32:
            return plain_s32(site, "squared_difference_s32")
        return combined(site, "squared_difference", 7 if dtype is DType.INT8 else 0, squares=True)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Squared difference of operands brought to one scale, rescaled to the output.

        Source: tensorflow/lite/micro/kernels/squared_difference.cc.
        """
        dtype, out = accept(self.OP, call, DType.FLOAT32, DType.INT32, DType.INT8, DType.INT16), call.outputs[0]
        if dtype in (DType.FLOAT32, DType.INT32):
            difference = call.value(0) - call.value(1)
            return (plain(difference * difference, out),)
        bits = 7 if dtype is DType.INT8 else 0
        scales = [float(scale_of(call.tensor(i))) for i in (0, 1)]
        twice = 2 * max(scales)
        left, right = (rescaled(centred(call, i) << bits, scales[i] / twice) for i in (0, 1))
        multiplier = twice * twice / float(np.float32(1 << (2 * bits)) * scale_of(out))
        return (stored(rescaled((left - right) ** 2, multiplier), out),)
