# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL: matrix products over the last two axes; the axes before them broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.ops.shapes import broadcast, operand


@dataclass(frozen=True, slots=True)
class BatchMatMul(Attrs):
    OP: ClassVar[str] = "BATCH_MATMUL"
    OPTIONS: ClassVar[str] = "BatchMatMulOptions"
    adj_x: bool = False
    adj_y: bool = False
    asymmetric_quantize_inputs: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, y = operand(inputs, 0, "left").shape, operand(inputs, 1, "right").shape
        require(len(x) >= 2 and len(y) >= 2, f"shapes {list(x)} and {list(y)}: two dimensions are the least allowed")
        rows, depth = x[:-3:-1] if self.adj_x else x[-2:]
        depth_y, cols = y[:-3:-1] if self.adj_y else y[-2:]
        require(depth == depth_y, f"{depth} columns on the left must equal {depth_y} rows on the right")
        return ((*broadcast(x[:-2], y[:-2]), rows, cols),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return outputs[0].elements * operand(inputs, 0, "left").shape[-2 if self.adj_x else -1]
