# SPDX-License-Identifier: Apache-2.0
"""GATHER_ND: the slices of operand 0 at the positions along the last axis of operand 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.gathering import Lookup, looked_up
from thimble.ops.movement import NARROW, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class GatherNd(Attrs):
    OP: ClassVar[str] = "GATHER_ND"
    OPTIONS: ClassVar[str] = "GatherNdOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, where = operand(inputs, 0, "input").shape, operand(inputs, 1, "indices").shape
        require(len(where) >= 1, "the indices are a scalar, one dimension is the least allowed")
        require(where[-1] <= len(x), f"positions of {where[-1]} numbers in a tensor of rank {len(x)}")
        return (where[:-1] + x[where[-1] :],)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `gather.h`; `copy.h` for one constant position."""
        x, where = site.tensor(0), site.tensor(1)
        depth, count = where.shape[-1], math.prod(where.shape[:-1])
        return looked_up(site, x, where, Lookup(1, 1, count, x.shape[:depth], math.prod(x.shape[depth:])))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Elements or slices at the positions of operand 1.

        Source: GatherNd, tensorflow/lite/micro/kernels/gather_nd.cc.
        """
        x, where = moved(call, self.OP, NARROW), moved(call, self.OP, (DType.INT32,), 1)
        return shaped(call, x[tuple(np.moveaxis(where, -1, 0))])
