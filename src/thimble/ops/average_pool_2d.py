# SPDX-License-Identifier: Apache-2.0
"""AVERAGE_POOL_2D: mean over a window of `[N,H,W,C]`; cells outside the input do not count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from thimble.ir import DType, Tensor
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.convolution import check_types, clamped, margin
from thimble.ops.numerics import Array, Call, activation_range
from thimble.ops.pooling import MOST_CELLS, POOLED, Pool2D
from thimble.ops.rows import is_image
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class AveragePool2D(Pool2D):
    OP: ClassVar[str] = "AVERAGE_POOL_2D"

    def accumulates(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> bool:
        """If the window of the only pixel of an int8 output is the whole image, and that is small."""
        x = operand(inputs, 0, "input")
        if not is_image(x) or x.dtype is not DType.INT8 or output.shape[:3] != (1, 1, 1):
            return False
        before = [margin(x.shape[1], self.filter_height, self.stride_h, self.along(0))]
        before += [margin(x.shape[2], self.filter_width, self.stride_w, self.along(1))]
        reach = self.filter_height - before[0], self.filter_width - before[1]
        return reach[0] >= x.shape[1] and reach[1] >= x.shape[2] and x.shape[1] * x.shape[2] <= MOST_CELLS

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pool_2d.h`, `pool_2d_f32.h`; `average_rows.h` row by row."""
        x, output = site.tensor(0), site.outputs[0]
        if site.by_row and self.accumulates(site.inputs, output):
            fields = (*self._window_fields(x.shape, output.shape), *self._value_fields(site, x, output))
            call = KernelCall("average_rows", "average_rows.h", whole(x), whole(output), (), "pool_2d", fields)
            return (replace(call, scratch=2 * x.shape[3], rows=x.shape[1], accumulates=True),)
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
