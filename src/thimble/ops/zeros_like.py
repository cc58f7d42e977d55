# SPDX-License-Identifier: Apache-2.0
"""ZEROS_LIKE: zeros in the shape and type of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.ops.elementwise import Unary
from thimble.ops.movement import moved, shaped
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class ZerosLike(Unary):
    OP: ClassVar[str] = "ZEROS_LIKE"
    OPTIONS: ClassVar[str] = "ZerosLikeOptions"

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Elements of 0, whatever the zero point is.

        Source: ZerosLikeEval, tensorflow/lite/micro/kernels/zeros_like.cc.
        """
        return shaped(call, np.zeros_like(moved(call, self.OP, (DType.FLOAT32, DType.INT8, DType.INT32, DType.INT64))))
