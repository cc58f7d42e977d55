# SPDX-License-Identifier: Apache-2.0
"""CONCATENATION: tensors joined along one axis; all other extents are equal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, Attrs, DType, Quant, Rows, Shape, Tensor, require
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.legacy import is_legacy, to_unsigned
from thimble.ops.lowering import packed
from thimble.ops.movement import WIDE, moved, same_quant, shaped, unsupported
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.rows import same_rows
from thimble.ops.shapes import axis_of, joined, operand
from thimble.ops.strided import Block, block, copies


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

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        return same_rows(inputs, output) if axis_of(self.axis, len(output.shape)) == 3 else None

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """A call per operand. Kernels: `copy.h`, `strided_copy.h`; `lookup_rows.h` where legacy uint8 is rescaled."""
        if self.fused_activation_function is not Activation.NONE:
            raise site.unsupported("a fused activation")
        output, first = site.outputs[0], 0
        axis = axis_of(self.axis, len(output.shape))
        calls: tuple[KernelCall, ...] = ()
        for i in range(len(site.inputs)):
            x = site.tensor(i)
            place = block(output).part(axis, first, x.shape[axis])
            first += x.shape[axis]
            calls += self._rescaled(site, x, place) if _differs(site, i) else copies(site, block(x), place)
        return calls

    def _rescaled(self, site: Site, x: Tensor, place: Block) -> tuple[KernelCall, ...]:
        """An operand that is uint8 in the file, by a table, where its rows belong in the output."""
        axis = axis_of(self.axis, len(x.shape))
        rows, run = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
        fields = (("rows", rows), ("run", run), ("row", math.prod(place.tensor.shape[axis:])))
        given, wanted = quant_of(to_unsigned(x)), quant_of(to_unsigned(place.tensor))
        flip = 0x80 if x.dtype is DType.INT8 else 0
        table = rescaled(np.arange(256) ^ flip, given, wanted) ^ flip
        constants, name = (packed("rescaling", DType.UINT8, table),), "lookup_rows"
        call = KernelCall(name, f"{name}.h", whole(x), (place.view(),), constants, name, fields)
        return (call,) if x.nbytes else ()

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


def _differs(site: Site, index: int) -> bool:
    """Whether an operand must be rescaled, which TFLite does for legacy uint8 only."""
    x, output = site.tensor(index), site.outputs[0]
    if is_legacy(x) and is_legacy(output):
        return not same_quant(x, output)
    if output.dtype is DType.INT8 and not is_legacy(output) and not same_quant(x, output):
        raise site.unsupported(f"operand {index} in another scale than the output")
    if output.dtype is DType.INT16 and quant_of(x).zero_point[0] != 0:
        raise site.unsupported(f"operand {index} with a zero point")
    return False


def rescaled(x: Array, given: Quant, wanted: Quant) -> Array:
    """Bytes of one scale in another, by way of single-precision floats."""
    scale = np.float32(given.scale[0]) * (np.float32(1) / np.float32(wanted.scale[0]))
    real = x.astype(np.float32) * scale + np.float32(-given.zero_point[0]) * scale
    rounded = np.copysign(np.floor(np.abs(real.astype(np.float64)) + 0.5), real)
    result: Array = np.clip(rounded + wanted.zero_point[0], 0, 255).astype(np.uint8)
    return result
