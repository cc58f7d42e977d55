# SPDX-License-Identifier: Apache-2.0
"""EMBEDDING_LOOKUP: the rows of operand 1 that the vector operand 0 names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.ops.movement import moved, shaped, unsupported
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class EmbeddingLookup(Attrs):
    OP: ClassVar[str] = "EMBEDDING_LOOKUP"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        rows, table = operand(inputs, 0, "rows").shape, operand(inputs, 1, "table").shape
        fits = len(rows) == 1 and len(table) >= 2
        require(fits, f"rows {list(rows)} and table {list(table)}: a vector and two dimensions or more are required")
        return (rows + table[1:],)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Rows of operand 1; int8 rows become floats where the output is of floats.

        Source: EmbeddingLookUpEval, tensorflow/lite/micro/kernels/embedding_lookup.cc.
        """
        rows = moved(call, self.OP, (DType.FLOAT32, DType.INT8), 1)[moved(call, self.OP, (DType.INT32,))]
        if rows.dtype == np.int8 and call.outputs[0].dtype is DType.FLOAT32:
            quant = quant_of(call.tensor(1))
            if quant.zero_point[0] != 0:
                raise unsupported(self.OP, f"a zero point of {quant.zero_point[0]}")
            rows = rows.astype(np.float32) * np.float32(quant.scale[0])
        return shaped(call, rows)
