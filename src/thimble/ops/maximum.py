# SPDX-License-Identifier: Apache-2.0
"""MAXIMUM: elementwise maximum of two tensors with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.kernel import KernelCall, Site
from thimble.ops.arithmetic import MOST_NUMBERS, accept, plain
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Binary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import SUFFIX, common_type, pairwise


@dataclass(frozen=True, slots=True)
class Maximum(Binary):
    OP: ClassVar[str] = "MAXIMUM"
    OPTIONS: ClassVar[str] = "MaximumMinimumOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_plain.h`, `table_8.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        return pairwise(site, f"maximum_{SUFFIX[common_type(site, *MOST_NUMBERS)]}", "pairwise_plain.h")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The larger element, in whatever scale it has.

        Source: tensorflow/lite/micro/kernels/maximum_minimum.cc.
        """
        accept(self.OP, call, *MOST_NUMBERS)
        return (plain(np.where(call.value(0) > call.value(1), call.value(0), call.value(1)), call.outputs[0]),)
