# SPDX-License-Identifier: Apache-2.0
"""SPACE_TO_DEPTH: `[N,H,W,C]` to `[N,H/b,W/b,C*b**2]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import NARROW, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import operand
from thimble.ops.strided import block, copies


@dataclass(frozen=True, slots=True)
class SpaceToDepth(Attrs):
    OP: ClassVar[str] = "SPACE_TO_DEPTH"
    OPTIONS: ClassVar[str] = "SpaceToDepthOptions"
    block_size: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, b = operand(inputs, 0, "input").shape, self.block_size
        require(len(x) == 4, f"the input has {len(x)} dimensions, 4 are required")
        fits = b > 0 and x[1] % b == 0 and x[2] % b == 0
        require(fits, f"{x[1]} rows and {x[2]} columns do not divide into blocks of {b} x {b}")
        return ((x[0], x[1] // b, x[2] // b, x[3] * b * b),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x, b = block(site.tensor(0)), self.block_size
        cells = x.grid(1, x.shape[1] // b, b, b).grid(3, x.shape[2] // b, b, b).turned(0, 1, 3, 2, 4, 5)
        return copies(site, cells, block(site.outputs[0], cells.shape))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Blocks of pixels stacked in the channels.

        Source: tensorflow/lite/micro/kernels/space_to_depth.cc.
        """
        x, b = moved(call, self.OP, NARROW), self.block_size
        n, rows, cols, channels = x.shape
        blocks = x.reshape(n, rows // b, b, cols // b, b, channels)
        return shaped(call, blocks.transpose(0, 1, 3, 2, 4, 5))
