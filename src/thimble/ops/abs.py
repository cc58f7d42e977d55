# SPDX-License-Identifier: Apache-2.0
"""ABS: magnitude of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, centred, plain, rescaled, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, each
from thimble.ops.scaling import bent, factor_of


@dataclass(frozen=True, slots=True)
class Abs(Unary):
    OP: ClassVar[str] = "ABS"
    OPTIONS: ClassVar[str] = "AbsOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`, `rescale.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        if common_type(site, DType.FLOAT32, DType.INT16) is DType.FLOAT32:
            return each(site, "abs_f32", "unary_f32.h")
        x = site.tensor(0)
        factor = factor_of(x) / factor_of(site.outputs[0]) if x.quant is not None else 1.0
        return bent(site, factor, factor, before=-1, after=1, clamps=x.quant is not None)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Distance from the zero point, rescaled where the scales differ.

        Source: tensorflow/lite/micro/kernels/elementwise.cc.
        """
        dtype, out = accept(self.OP, call, DType.FLOAT32, DType.INT8, DType.INT16), call.outputs[0]
        if dtype is DType.FLOAT32 or call.tensor(0).quant is None:
            return (plain(np.abs(call.value(0)), out),)
        x, source, result = np.abs(centred(call, 0)), float(scale_of(call.tensor(0))), float(scale_of(out))
        return (stored(x if source == result else rescaled(x, source / result), out),)
