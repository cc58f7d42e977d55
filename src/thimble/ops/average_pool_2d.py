# SPDX-License-Identifier: Apache-2.0
"""AVERAGE_POOL_2D: mean over a window of `[N,H,W,C]`; cells outside the input do not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.convolution import check_types, clamped
from thimble.ops.numerics import Array, Call, activation_range
from thimble.ops.pooling import POOLED, Pool2D


@dataclass(frozen=True, slots=True)
class AveragePool2D(Pool2D):
    OP: ClassVar[str] = "AVERAGE_POOL_2D"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pool_2d.h`, `pool_2d_f32.h`."""
        return self.calls(site, "average_pool_2d", tuple(dtype for (dtype,) in POOLED))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Integers are rounded to nearest, ties away from zero.

        Source: AveragePool, tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h and
        reference/pooling.h.
        """
        check_types(self.OP, call, POOLED, 0)
        x, output = call.value(0), call.outputs[0]
        counts = self.summed(np.ones((1, *x.shape[1:3], 1), np.int64))
        if output.dtype is DType.FLOAT32:
            return (clamped(self.summed(x.astype(np.float64)) / counts, self.fused_activation_function),)
        sums = self.summed(x.astype(np.int64))
        means = np.sign(sums) * ((abs(sums) + counts // 2) // counts)
        low, high = activation_range(self.fused_activation_function, output)
        return (np.clip(means, low, high).astype(output.dtype.label),)
