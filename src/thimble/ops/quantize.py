# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE: quantized values of real elements, or a change of scale, zero point or type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops import scaling
from thimble.ops.arithmetic import centred, rescaled, scale_of, stored, unsupported
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.pointwise import SUFFIX, each, refused


@dataclass(frozen=True, slots=True)
class Quantize(Unary):
    OP: ClassVar[str] = "QUANTIZE"
    OPTIONS: ClassVar[str] = "QuantizeOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `convert.h`, `rescale.h`, `table_8.h`, `clamp.h`."""
        x, out = site.tensor(0), site.outputs[0]
        if out.dtype not in _PAIRS.get(x.dtype, ()):
            raise refused(site, *_PAIRS)
        if quant_of(out).per_channel:
            raise site.unsupported("scales per channel; supported is one scale")
        if x.dtype is DType.FLOAT32:
            zero, low, high = scaling.bounds(out)
            fields = (zero, ("scale", scaling.factor_of(out)), (low[0], float(low[1])), (high[0], float(high[1])))
            return each(site, f"quantize_{SUFFIX[out.dtype]}", "convert.h", fields, struct="quantize")
        return bytewise(site, self) if is_bytewise(site) else scaling.rescaled(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Quantized floats, rounded half away from zero, or integers in another scale.

        Floats beyond the range of int32 saturate, as on Arm; elsewhere C leaves open what becomes of them.

        Source: tensorflow/lite/micro/kernels/quantize_common.cc, tensorflow/lite/kernels/internal/reference/quantize.h
        and requantize.h.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        if out.dtype not in _PAIRS.get(tensor.dtype, ()) or quant_of(out).per_channel:
            raise unsupported(self.OP, (tensor, out))
        if tensor.dtype is DType.FLOAT32:
            with np.errstate(all="ignore"):
                ratio = (call.value(0) / scale_of(out)).astype(np.float64)
            rounded = np.copysign(np.floor(np.abs(np.nan_to_num(ratio)) + 0.5), ratio)
            return (stored(np.clip(rounded, -(1 << 30), 1 << 30).astype(np.int64), out),)
        multiplier = float(scale_of(tensor)) / float(scale_of(out))
        return (stored(rescaled(centred(call, 0), multiplier), out),)


_PAIRS = {
    DType.FLOAT32: (DType.INT8, DType.INT16, DType.UINT8),
    DType.INT32: (DType.INT8, DType.INT16),
    DType.INT16: (DType.INT8, DType.INT16, DType.INT32),
    DType.INT8: (DType.INT8, DType.UINT8, DType.INT16, DType.INT32),
    DType.UINT8: (DType.INT8, DType.UINT8),
}
