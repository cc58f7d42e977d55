# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL: matrix products over the last two axes; the axes before them broadcast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.ops.convolution import centred, check_types, product_scale, requantized
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import broadcast, operand

_TYPES = ((DType.FLOAT32, DType.FLOAT32), (DType.INT8, DType.INT8), (DType.INT16, DType.INT16))


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

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Both operands lose their zero points.

        Source: BatchMatMul, tensorflow/lite/kernels/internal/reference/batch_matmul.h.
        """
        check_types(self.OP, call, _TYPES, 0, 1)
        left, right, output = centred(call, 0), centred(call, 1), call.outputs[0]
        sums = (left.swapaxes(-1, -2) if self.adj_x else left) @ (right.swapaxes(-1, -2) if self.adj_y else right)
        if output.dtype is DType.FLOAT32:
            return (sums.astype(np.float32),)
        scale = product_scale(call.tensor(0), call.tensor(1), output)
        return (requantized(sums, [scale], output, wide=output.dtype is DType.INT16),)
