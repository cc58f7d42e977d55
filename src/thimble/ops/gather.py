# SPDX-License-Identifier: Apache-2.0
"""GATHER: the slices of operand 0 along one axis that operand 1 names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.gathering import Lookup, looked_up
from thimble.ops.movement import NARROW, axis_number, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import axis_of, operand


@dataclass(frozen=True, slots=True)
class Gather(Attrs):
    """The first `batch_dims` axes of both operands run in step; both attributes may be negative."""

    OP: ClassVar[str] = "GATHER"
    OPTIONS: ClassVar[str] = "GatherOptions"
    axis: int = 0
    batch_dims: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, where = operand(inputs, 0, "input").shape, operand(inputs, 1, "indices").shape
        axis = axis_of(self.axis, len(x))
        batch = self.batch_dims + len(where) if self.batch_dims < 0 else self.batch_dims
        require(0 <= batch <= min(axis, len(where)), f"{batch} batch axes with axis {axis} and indices {list(where)}")
        require(x[:batch] == where[:batch], f"the first {batch} extents of {list(x)} and {list(where)} must be equal")
        return (x[:axis] + where[batch:] + x[axis + 1 :],)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `gather.h`; `copy.h`, `strided_copy.h` for one constant position."""
        x, where = site.tensor(0), site.tensor(1)
        axis, batch = axis_number(self.axis, len(x.shape)), axis_number(self.batch_dims, len(where.shape))
        sets, outer = math.prod(x.shape[:batch]), math.prod(x.shape[batch:axis])
        count, run = math.prod(where.shape[batch:]), math.prod(x.shape[axis + 1 :])
        return looked_up(site, x, where, Lookup(sets, outer, count, x.shape[axis : axis + 1], run))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Slices of the axis at the indices of operand 1.

        Source: Gather, tensorflow/lite/micro/kernels/gather.cc.
        """
        x, where = moved(call, self.OP, NARROW), moved(call, self.OP, (DType.INT32,), 1)
        axis = axis_number(self.axis, x.ndim)
        batch = axis_number(self.batch_dims, where.ndim)
        sets, outer = math.prod(x.shape[:batch]), math.prod(x.shape[batch:axis])
        blocks = x.reshape(sets, outer, x.shape[axis], math.prod(x.shape[axis + 1 :]))
        set_index, outer_index = np.arange(sets)[:, None, None], np.arange(outer)[None, :, None]
        return shaped(call, blocks[set_index, outer_index, where.reshape(sets, 1, math.prod(where.shape[batch:]))])
