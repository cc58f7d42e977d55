# SPDX-License-Identifier: Apache-2.0
"""FLOOR_MOD: elementwise remainder with the divisor's sign, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import accept, plain
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, pairwise


@dataclass(frozen=True, slots=True)
class FloorMod(Binary):
    OP: ClassVar[str] = "FLOOR_MOD"
    OPTIONS: ClassVar[str] = "FloorModOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`."""
        common_type(site, DType.FLOAT32)
        return pairwise(site, "floor_mod_f32", "pairwise_f32.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Remainder of floats with the sign of the divisor.

        Source: tensorflow/lite/micro/kernels/floor_mod.cc, tensorflow/lite/kernels/internal/reference/floor_mod.h.
        """
        accept(self.OP, call, DType.FLOAT32)
        divisor = call.value(1)
        with np.errstate(all="ignore"):
            rest = np.fmod(call.value(0), divisor)
            return (
                plain(np.where((rest != 0) & ((divisor < 0) != (rest < 0)), rest + divisor, rest), call.outputs[0]),
            )
