# SPDX-License-Identifier: Apache-2.0
"""ARG_MIN: index of the smallest element along the axis of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.extremes import first_extreme
from thimble.ops.movement import NARROW, moved, numbers, shaped, unsupported
from thimble.ops.numerics import Array, Call
from thimble.ops.reduction import ArgReducer, first_largest


@dataclass(frozen=True, slots=True)
class ArgMin(ArgReducer):
    OP: ClassVar[str] = "ARG_MIN"
    OPTIONS: ClassVar[str] = "ArgMinOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `arg_max.h`."""
        return first_extreme(site, least=True)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The first index of the smallest element along the axis; int64 as LiteRT has it, TFLM only gives int32.

        Source: ArgMinMax, tensorflow/lite/kernels/internal/reference/arg_min_max.h.
        """
        x = moved(call, self.OP, NARROW)
        if call.outputs[0].dtype not in (DType.INT32, DType.INT64):
            raise unsupported(self.OP, f"an output of type {call.outputs[0].dtype.label}")
        wide = x if x.dtype == np.float32 else x.astype(np.int16)  # -(-128) is no int8
        return shaped(call, first_largest(-wide, numbers(call, 1)[0]))
