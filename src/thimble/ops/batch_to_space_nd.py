# SPDX-License-Identifier: Apache-2.0
"""BATCH_TO_SPACE_ND: blocks of the batch axis spread over the axes after it, which are then cropped."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import NARROW, moved, numbers, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand
from thimble.ops.strided import constant_numbers, copies
from thimble.ops.weaving import woven


@dataclass(frozen=True, slots=True)
class BatchToSpaceND(Attrs):
    """Operands: `[N,spatial...,rest...]`, block `[m]`, crops `[m,2]`."""

    OP: ClassVar[str] = "BATCH_TO_SPACE_ND"
    OPTIONS: ClassVar[str] = "BatchToSpaceNDOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        block, crops = integers(operand(inputs, 1, "block")), integers(operand(inputs, 2, "crops"))
        if block is None or crops is None:
            return None
        m = len(block)
        require(len(x) > m and len(crops) == 2 * m, f"{m} block sizes do not go with {list(x)} and {len(crops)} crops")
        right = min(block, default=1) > 0 and min(crops, default=0) >= 0
        require(right, f"block {list(block)} must be positive, crops {list(crops)} not negative")
        cells = math.prod(block)
        require(x[0] % cells == 0, f"a batch of {x[0]} does not divide into blocks of {cells}")
        spatial = tuple(x[i + 1] * block[i] - crops[2 * i] - crops[2 * i + 1] for i in range(m))
        require(min(spatial, default=0) >= 0, f"crops {list(crops)} are larger than what they crop")
        return ((x[0] // cells, *spatial, *x[m + 1 :]),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x, output = site.tensor(0), site.outputs[0]
        sizes, crops = constant_numbers(site, 1), constant_numbers(site, 2)
        return tuple(c for a, b in woven(x, output, sizes, crops) for c in copies(site, a, b))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Images woven into one, then cropped.

        Source: BatchToSpaceND, tensorflow/lite/kernels/internal/reference/batch_to_space_nd.h.
        """
        x, block, crops = moved(call, self.OP, NARROW), numbers(call, 1), numbers(call, 2)
        m, batch = len(block), call.outputs[0].shape[0]
        cells = x.reshape(*block, batch, *x.shape[1:])
        woven = [axis for i in range(m) for axis in (m + 1 + i, i)]
        wide = cells.transpose(m, *woven, *range(2 * m + 1, cells.ndim))
        whole = wide.reshape(batch, *(x.shape[i + 1] * block[i] for i in range(m)), *x.shape[m + 1 :])
        kept = (slice(None), *(slice(crops[2 * i], whole.shape[i + 1] - crops[2 * i + 1]) for i in range(m)))
        return shaped(call, whole[kept])
