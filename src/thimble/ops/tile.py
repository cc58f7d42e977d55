# SPDX-License-Identifier: Apache-2.0
"""TILE: the input repeated along each axis as often as operand 1 says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand
from thimble.ops.strided import block, constant_numbers, copies


@dataclass(frozen=True, slots=True)
class Tile(Attrs):
    OP: ClassVar[str] = "TILE"
    OPTIONS: ClassVar[str] = "TileOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, times = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "multiples"))
        if times is None:
            return None
        fits = len(times) == len(x) and min(times, default=0) >= 0
        require(fits, f"multiples {list(times)} do not go with {list(x)}: one per axis, at least 0, is required")
        return (tuple(d * t for d, t in zip(x, times, strict=True)),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x, times = block(site.tensor(0)), constant_numbers(site, 1)
        for axis in reversed(range(len(times))):
            x = x.repeated(axis, times[axis])
        return copies(site, x, block(site.outputs[0], x.shape))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The input repeated, of any type; TFLM has no such kernel.

        Source: TileOneDimension, tensorflow/lite/kernels/tile.cc.
        """
        return shaped(call, np.tile(moved(call, self.OP), numbers(call, 1)))
