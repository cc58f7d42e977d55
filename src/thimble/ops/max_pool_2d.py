# SPDX-License-Identifier: Apache-2.0
"""MAX_POOL_2D: maximum over a window of `[N,H,W,C]`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.convolution import check_types, clamped
from thimble.ops.numerics import Array, Call, activation_range, limits
from thimble.ops.pooling import POOLED, Pool2D


@dataclass(frozen=True, slots=True)
class MaxPool2D(Pool2D):
    OP: ClassVar[str] = "MAX_POOL_2D"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pool_2d.h`, `pool_2d_dsp.h`, `pool_2d_f32.h`."""
        return self.calls(site, "max_pool_2d", tuple(dtype for (dtype,) in POOLED))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Cells outside the input, and floats that are no numbers, are below all others.

        Source: MaxPool, tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h and reference/pooling.h.
        """
        check_types(self.OP, call, POOLED, 0)
        x, output = call.value(0), call.outputs[0]
        if output.dtype is DType.FLOAT32:
            most = float(np.finfo(np.float32).max)
            peaks = reduce(np.fmax, self.cells(x, -most), np.float32(-most))
            return (clamped(np.asarray(peaks), self.fused_activation_function),)
        peaks = reduce(np.maximum, self.cells(x, limits(output.dtype)[0]))
        low, high = activation_range(self.fused_activation_function, output)
        return (np.clip(peaks.astype(np.int64), low, high).astype(output.dtype.label),)
