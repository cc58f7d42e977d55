# SPDX-License-Identifier: Apache-2.0
"""TOPK_V2: the `k` largest elements along the last axis, and their indices; operand 1 holds `k`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import integers, operand


@dataclass(frozen=True, slots=True)
class TopKV2(Attrs):
    OP: ClassVar[str] = "TOPK_V2"
    OPTIONS: ClassVar[str] = "TopKV2Options"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, k = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "k"))
        require(len(x) >= 1, "the input is a scalar, one dimension is the least allowed")
        if k is None:
            return None
        require(len(k) == 1 and 0 <= k[0] <= x[-1], f"k = {list(k)} is not allowed, 0 to {x[-1]} is")
        return ((*x[:-1], k[0]),) * 2
