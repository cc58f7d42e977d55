# SPDX-License-Identifier: Apache-2.0
"""EMBEDDING_LOOKUP: the rows of operand 1 that the vector operand 0 names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.gathering import Lookup, check_positions, looked_up
from thimble.ops.legacy import is_legacy
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

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `gather.h`, and `dequantize_rows.h` from int8 to floats."""
        rows, table, output = site.tensor(0), site.tensor(1), site.outputs[0]
        run = math.prod(table.shape[1:])
        if table.dtype is output.dtype:
            return looked_up(site, table, rows, Lookup(1, 1, rows.elements, table.shape[:1], run))
        if (table.dtype, output.dtype) != (DType.INT8, DType.FLOAT32) or is_legacy(table):
            raise site.unsupported(f"a table of {table.dtype.label} and an output of {output.dtype.label}")
        quant = quant_of(table)
        if quant.zero_point[0] != 0:
            raise site.unsupported(f"a zero point of {quant.zero_point[0]}, 0 is supported")
        check_positions(site, rows, table.shape[:1])
        scale = float(np.float32(quant.scale[0]))
        fields = (("count", rows.elements), ("last", table.shape[0] - 1), ("run", run), ("scale", scale))
        name, operands = "dequantize_rows", whole(rows, table)
        call = KernelCall(name, f"{name}.h", operands, whole(output), struct=name, fields=fields)
        return (call,) if output.nbytes else ()

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
