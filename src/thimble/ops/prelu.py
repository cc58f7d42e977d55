# SPDX-License-Identifier: Apache-2.0
"""PRELU: `x` where positive, else `alpha * x`, with a learned `alpha` that broadcasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import centred, plain, rescaled, scale_of, stored, unsupported
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Binary
from thimble.ops.legacy import is_legacy
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import pairwise, refused
from thimble.ops.scaling import prelu


@dataclass(frozen=True, slots=True)
class Prelu(Binary):
    OP: ClassVar[str] = "PRELU"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `table_8.h`, `pairwise_scaled.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        tensors = (site.tensor(0), site.tensor(1), site.outputs[0])
        types = tuple(t.dtype for t in tensors)
        if types not in _TYPES or len({is_legacy(t) for t in tensors}) != 1:
            raise refused(site, DType.FLOAT32, DType.INT8, DType.INT16)
        return pairwise(site, "prelu_f32", "pairwise_f32.h") if types[0] is DType.FLOAT32 else prelu(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Both branches rescaled to the output; int16 takes an int8 `alpha`.

        Source: tensorflow/lite/micro/kernels/prelu.cc and prelu_common.cc,
        tensorflow/lite/kernels/internal/reference/prelu.h.
        """
        tensor, alpha, out = call.tensor(0), call.tensor(1), call.outputs[0]
        if (tensor.dtype, alpha.dtype, out.dtype) not in _TYPES:
            raise unsupported(self.OP, (tensor, alpha, out))
        if tensor.dtype is DType.FLOAT32:
            x = call.value(0)
            return (plain(np.where(x >= 0, x, x * call.value(1)), out),)
        source, slope, result = (float(scale_of(t)) for t in (tensor, alpha, out))
        y = centred(call, 0)
        negative = rescaled(y * centred(call, 1), source * slope / result)
        return (stored(np.where(y >= 0, rescaled(y, source / result), negative), out),)


_TYPES = (
    (DType.FLOAT32,) * 3,
    (DType.INT8,) * 3,
    (DType.UINT8,) * 3,
    (DType.INT16, DType.INT8, DType.INT16),
)
