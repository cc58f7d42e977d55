# SPDX-License-Identifier: Apache-2.0
"""ADD_N: elementwise sum of any number of tensors of one shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.ops.arithmetic import accept, centred, plain, rescaled, scale_of, stored
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class AddN(Attrs):
    OP: ClassVar[str] = "ADD_N"
    OPTIONS: ClassVar[str] = "AddNOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        shapes = [operand(inputs, i, "input").shape for i in range(max(1, len(inputs)))]
        require(len(set(shapes)) == 1, f"the shapes {[list(s) for s in shapes]} differ, one for all is required")
        return (shapes[0],)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sum; int8 operands have one scale and are rescaled to the output.

        Source: tensorflow/lite/micro/kernels/add_n.cc, tensorflow/lite/kernels/internal/reference/add_n.h.
        """
        out, operands = call.outputs[0], range(len(call.inputs))
        if accept(self.OP, call, DType.FLOAT32, DType.INT8) is DType.FLOAT32:
            total: Array = np.zeros(out.shape, np.float32)
            for i in operands:
                total = total + call.value(i)
            return (plain(total, out),)
        twice = 2 * float(scale_of(call.tensor(0)))
        zero = np.int64(-quant_of(call.tensor(0)).zero_point[0])  # TFLM's sum starts here, not at 0
        raw = rescaled(zero << 20, 0.5) + sum(rescaled(centred(call, i) << 20, 0.5) for i in operands)
        return (stored(rescaled(raw, twice / ((1 << 20) * float(scale_of(out)))), out),)
