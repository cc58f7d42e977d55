# SPDX-License-Identifier: Apache-2.0
"""CUMSUM: running sum along the axis of operand 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.movement import axis_number, moved, numbers, shaped
from thimble.ops.numerics import Array, Call, multiply_by_quantized_multiplier, quant_of, quantize_multiplier
from thimble.ops.shapes import axis_of, integers, operand
from thimble.ops.strided import constant_numbers


@dataclass(frozen=True, slots=True)
class Cumsum(Attrs):
    OP: ClassVar[str] = "CUMSUM"
    OPTIONS: ClassVar[str] = "CumsumOptions"
    exclusive: bool = False
    reverse: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        for axis in integers(operand(inputs, 1, "axis")) or ():
            axis_of(axis, len(x))
        return (x,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `cumsum.h`."""
        x, output = site.tensor(0), site.outputs[0]
        if x.dtype not in (DType.FLOAT32, DType.INT8):
            raise site.unsupported(f"type {x.dtype.label}, float32 and int8 are supported")
        axis = axis_of(constant_numbers(site, 1)[0], len(x.shape))
        inner, given, wanted = math.prod(x.shape[axis + 1 :]), quant_of(x), quant_of(output)
        twice = 2 * float(np.float32(given.scale[0]))
        mantissa, shift = quantize_multiplier(twice / ((1 << 20) * float(np.float32(wanted.scale[0]))))
        fields = (
            ("outer", math.prod(x.shape[:axis])),
            ("count", x.shape[axis]),
            ("inner", inner),
            ("first", x.shape[axis] - 1 if self.reverse else 0),
            ("step", -inner if self.reverse else inner),
            ("exclusive", int(self.exclusive)),
            ("in_zero", given.zero_point[0]),
            ("out_zero", wanted.zero_point[0]),
            ("multiplier", mantissa),
            ("shift", shift),
        )
        name = "cumsum_f32" if x.dtype is DType.FLOAT32 else "cumsum_s8"
        same = ((0, 0),)
        call = KernelCall(name, "cumsum.h", whole(x), whole(output), struct="cumsum", fields=fields, in_place=same)
        return (call,) if x.nbytes else ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sums of all elements so far; in int8, TFLM starts from minus the zero point even if `exclusive`.

        Source: CumSum, tensorflow/lite/kernels/internal/reference/cumsum.h; tensorflow/lite/micro/kernels/cumsum.cc.
        """
        x = moved(call, self.OP, (DType.FLOAT32, DType.INT8))
        axis = axis_number(numbers(call, 1)[0], x.ndim)
        if x.dtype == np.float32:
            return shaped(call, self._sums(x, np.float32(0), axis))
        given, wanted = quant_of(call.tensor(0)), quant_of(call.outputs[0])
        twice = 2 * float(np.float32(given.scale[0]))
        half = quantize_multiplier(float(np.float32(given.scale[0])) / twice)
        back = quantize_multiplier(twice / ((1 << 20) * float(np.float32(wanted.scale[0]))))
        offset = np.int64(-given.zero_point[0])
        steps = multiply_by_quantized_multiplier((x + offset) << 20, *half)
        sums = self._sums(steps, multiply_by_quantized_multiplier(offset << 20, *half), axis)
        wrapped = ((sums + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)  # int32 arithmetic
        result = multiply_by_quantized_multiplier(wrapped, *back) + wanted.zero_point[0]
        return shaped(call, np.clip(result, -128, 127))

    def _sums(self, x: Array, start: Array | np.float32, axis: int) -> Array:
        """Running sums along an axis, in order, from a first value."""
        x = np.flip(x, axis) if self.reverse else x
        first = np.full_like(x.take([0], axis), start)
        sums: Array = np.add.accumulate(np.concatenate([first, x], axis), axis)
        count = x.shape[axis]
        sums = sums.take(range(count) if self.exclusive else range(1, count + 1), axis)
        return np.flip(sums, axis) if self.reverse else sums
