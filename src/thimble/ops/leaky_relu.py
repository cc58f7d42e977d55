# SPDX-License-Identifier: Apache-2.0
"""LEAKY_RELU: `x` where positive, else `alpha * x`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, centred, of_floats, rescaled, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, each
from thimble.ops.scaling import bent, factor_of


@dataclass(frozen=True, slots=True)
class LeakyRelu(Unary):
    OP: ClassVar[str] = "LEAKY_RELU"
    OPTIONS: ClassVar[str] = "LeakyReluOptions"
    alpha: float = 0.0

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`, `rescale.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        alpha = float(np.float32(self.alpha))
        if common_type(site, DType.FLOAT32, DType.INT16) is DType.FLOAT32:
            return each(site, "leaky_relu_f32", "unary_f32.h", (("alpha", alpha),), struct="leaky_relu_f32")
        source, result = factor_of(site.tensor(0)), factor_of(site.outputs[0])
        after = -1 if alpha < 0 else 1
        return bent(site, source / result, abs(source * alpha / result), before=1, after=after)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Both branches rescaled to the output, each with its own multiplier.

        Source: tensorflow/lite/micro/kernels/leaky_relu_common.cc,
        tensorflow/lite/kernels/internal/reference/leaky_relu.h.
        """
        alpha = np.float32(self.alpha)
        if accept(self.OP, call, DType.FLOAT32, DType.INT8, DType.INT16) is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.where(x > 0, x, x * alpha))
        x, out = centred(call, 0), call.outputs[0]
        ratio = float(scale_of(call.tensor(0))) / float(scale_of(out))
        slope = float(scale_of(call.tensor(0))) * float(alpha) / float(scale_of(out))
        negative = rescaled(x, abs(slope)) * (-1 if alpha < 0 else 1)
        return (stored(np.where(x >= 0, rescaled(x, ratio), negative), out),)
