# SPDX-License-Identifier: Apache-2.0
"""CONCATENATION: tensors joined along one axis; all other extents are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, Attrs, DType, Quant, Shape, Tensor, require
from thimble.ops.movement import WIDE, moved, same_quant, shaped, unsupported
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.shapes import axis_of, joined, operand


@dataclass(frozen=True, slots=True)
class Concatenation(Attrs):
    OP: ClassVar[str] = "CONCATENATION"
    OPTIONS: ClassVar[str] = "ConcatenationOptions"
    axis: int = 0
    fused_activation_function: Activation = Activation.NONE

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        shapes = [operand(inputs, i, "input").shape for i in range(max(1, len(inputs)))]
        axis = axis_of(self.axis, len(shapes[0]))
        others = {s[:axis] + s[axis + 1 :] for s in shapes}
        same = len(others) == 1 and len({len(s) for s in shapes}) == 1
        require(same, f"shapes {[list(s) for s in shapes]} may differ along axis {axis} only")
        return ((*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :]),)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        return joined(inputs) if self.axis == 0 else None

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The operands joined: int8 in one scale (TFLM does not rescale), uint8 rescaled to the output's.

        Source: ConcatenationPrepare, tensorflow/lite/micro/kernels/concatenation.cc;
            ConcatenationWithScaling, kernels/internal/reference/concatenation.h.
        """
        if self.fused_activation_function is not Activation.NONE:
            raise unsupported(self.OP, "a fused activation")
        output, allowed = call.outputs[0], (*WIDE, DType.INT64, DType.BOOL)
        parts = [moved(call, self.OP, allowed, i) for i in range(len(call.inputs))]
        for i, part in enumerate(parts):
            if output.dtype is DType.INT8 and not same_quant(call.tensor(i), output):
                raise unsupported(self.OP, f"operand {i} in another scale than the output")
            if output.dtype is DType.INT16 and quant_of(call.tensor(i)).zero_point[0] != 0:
                raise unsupported(self.OP, f"operand {i} with a zero point")
            if output.dtype is DType.UINT8 and not same_quant(call.tensor(i), output):
                parts[i] = rescaled(part, quant_of(call.tensor(i)), quant_of(output))
        return shaped(call, np.concatenate(parts, axis=self.axis))


def rescaled(x: Array, given: Quant, wanted: Quant) -> Array:
    """Bytes of one scale in another, by way of single-precision floats."""
    scale = np.float32(given.scale[0]) * (np.float32(1) / np.float32(wanted.scale[0]))
    real = x.astype(np.float32) * scale + np.float32(-given.zero_point[0]) * scale
    rounded = np.copysign(np.floor(np.abs(real.astype(np.float64)) + 0.5), real)
    result: Array = np.clip(rounded + wanted.zero_point[0], 0, 255).astype(np.uint8)
    return result
