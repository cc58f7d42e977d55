# SPDX-License-Identifier: Apache-2.0
"""DEQUANTIZE: real values of quantized elements; the element types say between which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import QUANTIZED, centred, plain, scale_of, unsupported
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.pointwise import SUFFIX, each, refused
from thimble.ops.scaling import factor_of, zero_of


@dataclass(frozen=True, slots=True)
class Dequantize(Unary):
    OP: ClassVar[str] = "DEQUANTIZE"
    OPTIONS: ClassVar[str] = "DequantizeOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `convert.h`."""
        x = site.tensor(0)
        types = (*QUANTIZED, DType.FLOAT16)
        if x.dtype not in types or site.outputs[0].dtype is not DType.FLOAT32:
            raise refused(site, *types, DType.FLOAT32)
        if quant_of(x).per_channel:
            raise site.unsupported("scales per channel; supported is one scale")
        if x.dtype is DType.FLOAT16:
            return each(site, "dequantize_f16", "convert.h")
        fields = (("zero", zero_of(x)), ("scale", factor_of(x)))
        return each(site, f"dequantize_{SUFFIX[x.dtype]}", "convert.h", fields, struct="dequantize")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Real values as float32; float16 constants become float32 too.

        Source: tensorflow/lite/micro/kernels/dequantize.cc, tensorflow/lite/kernels/internal/reference/dequantize.h.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        types = (*QUANTIZED, DType.FLOAT16)
        if tensor.dtype not in types or out.dtype is not DType.FLOAT32 or quant_of(tensor).per_channel:
            raise unsupported(self.OP, (tensor, out))
        if tensor.dtype is DType.FLOAT16:
            return (plain(call.value(0), out),)
        return (plain(float(scale_of(tensor)) * centred(call, 0).astype(np.float64), out),)
