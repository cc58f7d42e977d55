# SPDX-License-Identifier: Apache-2.0
"""BATCH_MATMUL: matrix products over the last two axes; the axes before them broadcast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import Data, Fields, KernelCall, Site, whole
from thimble.ops.convolution import centred, check_types, product_scale, requantized
from thimble.ops.lowering import packed
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.shapes import broadcast, operand
from thimble.ops.weighted_wide import operands, refused_without_reference, result_fields, scale_pairs

_TYPES = ((DType.FLOAT32, DType.FLOAT32), (DType.INT8, DType.INT8), (DType.INT16, DType.INT16))
_SUFFIXES = {DType.FLOAT32: "f32", DType.INT8: "s8", DType.INT16: "s16"}


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

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `batch_matmul.h`; transposition and broadcasting are distances between elements."""
        x, y, output = site.tensor(0), site.tensor(1), site.outputs[0]
        with refused_without_reference(site) as call:
            check_types(self.OP, call, _TYPES, 0, 1)
        suffix = _SUFFIXES[x.dtype]
        fields: Fields = (("shape", self._shape(x, y, output)),)
        if suffix != "f32":
            [(multiplier, shift)] = scale_pairs(site, [product_scale(x, y, output)], x.dtype is DType.INT16)
            zeros = (("a_zero", quant_of(x).zero_point[0]), ("b_zero", quant_of(y).zero_point[0]))
            fields = (*fields, *zeros, *result_fields(output), ("multiplier", multiplier), ("shift", shift))
        struct = "batch_matmul_f32" if suffix == "f32" else "batch_matmul"
        reads, constants = operands(site, 1)
        constants = (*constants, _places(x, y, output))
        name, header = f"batch_matmul_{suffix}", "batch_matmul.h"
        return (KernelCall(name, header, (*whole(x), *reads), whole(output), constants, struct, fields),)

    def _shape(self, x: Tensor, y: Tensor, output: Tensor) -> Fields:
        rows, columns = output.shape[-2:]
        depth = x.shape[-2] if self.adj_x else x.shape[-1]
        return (
            ("batches", math.prod(output.shape[:-2])),
            ("rows", rows),
            ("columns", columns),
            ("depth", depth),
            ("a_row", 1 if self.adj_x else depth),
            ("a_depth", rows if self.adj_x else 1),
            ("b_depth", 1 if self.adj_y else columns),
            ("b_column", depth if self.adj_y else 1),
        )

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


def _places(x: Tensor, y: Tensor, output: Tensor) -> Data:
    """For each batch of the output, the elements at which its two matrices begin."""
    found = []
    for tensor in (x, y):
        shape = tensor.shape[:-2]
        first = np.arange(math.prod(shape)).reshape(shape) * math.prod(tensor.shape[-2:])
        found.append(np.broadcast_to(first, output.shape[:-2]).reshape(-1))
    return packed("places", DType.INT32, np.column_stack(found))
