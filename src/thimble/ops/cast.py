# SPDX-License-Identifier: Apache-2.0
"""CAST: each element in another type; the tensors' own types decide, as files often omit the attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import plain, unsupported
from thimble.ops.elementwise import Unary
from thimble.ops.lowering import copied
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import SUFFIX, each, refused


@dataclass(frozen=True, slots=True)
class Cast(Unary):
    OP: ClassVar[str] = "CAST"
    OPTIONS: ClassVar[str] = "CastOptions"
    in_data_type: DType = DType.FLOAT32
    out_data_type: DType = DType.FLOAT32

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `convert.h`; `copy.h` between integers of one size."""
        source, target = site.tensor(0).dtype, site.outputs[0].dtype
        if source not in _SOURCES or target not in _NUMBERS:
            raise refused(site, *_SOURCES)
        floats = DType.FLOAT32 in (source, target)
        if source is target or (source.bits == target.bits and not floats):
            return copied(site)
        first, second = (_suffix(dtype, floats) for dtype in (source, target))
        return each(site, f"cast_{first}_{second}", "convert.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Each element as C converts it: fractions are cut off, the lowest bits of integers are kept.

        TFLM casts no uint8, LiteRT does.

        Source: tensorflow/lite/micro/kernels/cast.cc.
        """
        tensor, out = call.tensor(0), call.outputs[0]
        if tensor.dtype not in _SOURCES or out.dtype not in _NUMBERS:
            raise unsupported(self.OP, (tensor, out))
        x = call.value(0)
        with np.errstate(all="ignore"):
            if tensor.dtype is DType.FLOAT32 and out.dtype is not DType.FLOAT32:
                x = x.astype(np.int64 if out.dtype is DType.UINT32 else np.int32)
            return (plain(x, out),)


_NUMBERS = (DType.INT8, DType.INT16, DType.INT32, DType.UINT32, DType.FLOAT32)
_SOURCES = (*_NUMBERS, DType.BOOL, DType.UINT8)


def _suffix(dtype: DType, floats: bool) -> str:
    """The type in a kernel's name. Truth values are 0 and 1; signs matter only from or to floats."""
    if dtype is DType.BOOL:
        return "s8"
    return SUFFIX[dtype if floats or dtype is not DType.UINT32 else DType.INT32]
