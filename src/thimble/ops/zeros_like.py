# SPDX-License-Identifier: Apache-2.0
"""ZEROS_LIKE: zeros in the shape and type of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.elementwise import Unary
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.strided import filled, item_bytes


@dataclass(frozen=True, slots=True)
class ZerosLike(Unary):
    OP: ClassVar[str] = "ZEROS_LIKE"
    OPTIONS: ClassVar[str] = "ZerosLikeOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `fill.h`."""
        output = site.outputs[0]
        legacy = output.quant is not None and output.quant.legacy  # 0 in the file is 128 less here
        return filled(output, b"\x80" if legacy else bytes(item_bytes(site, output)))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Elements of 0, whatever the zero point is.

        Source: ZerosLikeEval, tensorflow/lite/micro/kernels/zeros_like.cc.
        """
        return shaped(call, np.zeros_like(moved(call, self.OP, (DType.FLOAT32, DType.INT8, DType.INT32, DType.INT64))))
