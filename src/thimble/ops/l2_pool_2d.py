# SPDX-License-Identifier: Apache-2.0
"""L2_POOL_2D: root mean square over a window of `[N,H,W,C]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.convolution import check_types, clamped
from thimble.ops.numerics import Array, Call
from thimble.ops.pooling import Pool2D


@dataclass(frozen=True, slots=True)
class L2Pool2D(Pool2D):
    OP: ClassVar[str] = "L2_POOL_2D"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pool_2d_f32.h`."""
        return self.calls(site, "l2_pool_2d", (DType.FLOAT32,))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Floats only.

        Source: L2Pool, tensorflow/lite/kernels/internal/reference/pooling.h.
        """
        check_types(self.OP, call, ((DType.FLOAT32,),), 0)
        x = call.value(0).astype(np.float64)
        counts = self.summed(np.ones((1, *x.shape[1:3], 1)))
        return (clamped(np.sqrt(self.summed(x * x) / counts), self.fused_activation_function),)
