# SPDX-License-Identifier: Apache-2.0
"""SPACE_TO_BATCH_ND: the axes after the batch are padded, then their blocks move to the batch axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import NARROW, moved, numbers, shaped
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.padding import zero_bytes
from thimble.ops.shapes import integers, operand, padded
from thimble.ops.strided import constant_numbers, copies, filled
from thimble.ops.weaving import woven


@dataclass(frozen=True, slots=True)
class SpaceToBatchND(Attrs):
    """Operands: `[N,spatial...,rest...]`, block `[m]`, paddings `[m,2]`."""

    OP: ClassVar[str] = "SPACE_TO_BATCH_ND"
    OPTIONS: ClassVar[str] = "SpaceToBatchNDOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        block, pads = integers(operand(inputs, 1, "block")), integers(operand(inputs, 2, "paddings"))
        if block is None or pads is None:
            return None
        m = len(block)
        require(len(x) > m and len(pads) == 2 * m, f"{m} block sizes do not go with {list(x)} and {len(pads)} paddings")
        require(min(block, default=1) > 0, f"block {list(block)} must be positive")
        wide = padded(x[1 : m + 1], pads)
        fits = all(d % b == 0 for d, b in zip(wide, block, strict=True))
        require(fits, f"padded extents {list(wide)} do not divide into blocks of {list(block)}")
        return ((x[0] * math.prod(block), *(d // b for d, b in zip(wide, block, strict=True)), *x[m + 1 :]),)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`; `fill.h` where there is padding."""
        x, output = site.tensor(0), site.outputs[0]
        sizes, pads = constant_numbers(site, 1), constant_numbers(site, 2)
        calls = filled(output, zero_bytes(output)) if any(pads) else ()
        return calls + tuple(c for a, b in woven(output, x, sizes, pads) for c in copies(site, b, a))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Every block's elements go to images of their own; what is padded is the zero point.

        As LiteRT has it. TFLM does not set the value: it pads with what happens to be in the memory.

        Source: SpaceToBatchND, tensorflow/lite/kernels/internal/reference/space_to_batch_nd.h.
        """
        x, block = moved(call, self.OP, NARROW), numbers(call, 1)
        m = len(block)
        around = [(int(before), int(after)) for before, after in call.value(2).reshape(m, 2)]
        byte = x.dtype in (np.int8, np.uint8)
        zero = x.dtype.type(quant_of(call.outputs[0]).zero_point[0] if byte else 0)
        x = np.pad(x, [(0, 0), *around, *[(0, 0)] * (x.ndim - m - 1)], constant_values=zero)
        pairs = [n for i, b in enumerate(block) for n in (x.shape[i + 1] // b, b)]
        cells = x.reshape(x.shape[0], *pairs, *x.shape[m + 1 :])
        inside, outside = range(2, 2 * m + 1, 2), range(1, 2 * m, 2)
        return shaped(call, cells.transpose(*inside, 0, *outside, *range(2 * m + 1, cells.ndim)))
