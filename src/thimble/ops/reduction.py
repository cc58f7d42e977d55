# SPDX-License-Identifier: Apache-2.0
"""Shape rules of the operators that combine all elements along some axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.ops.movement import NARROW, axis_number, moved, numbers, same_quant, shaped, unsupported
from thimble.ops.numerics import (
    Array,
    Call,
    limits,
    multiply_by_quantized_multiplier,
    quant_of,
    quantize_multiplier,
)
from thimble.ops.shapes import axis_of, integers, operand


@dataclass(frozen=True, slots=True)
class Reducer(Attrs):
    """The axes of operand 1 (a scalar or a list, repetitions allowed) vanish, or keep extent 1."""

    OPTIONS: ClassVar[str] = "ReducerOptions"
    keep_dims: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, axes = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "axes"))
        if axes is None:
            return None
        # TFLite ignores the axes of a scalar instead of refusing them.
        gone = {axis_of(a, len(x)) for a in axes} if x else set()
        if self.keep_dims:
            return (tuple(1 if i in gone else d for i, d in enumerate(x)),)
        return (tuple(d for i, d in enumerate(x) if i not in gone),)


@dataclass(frozen=True, slots=True)
class ArgReducer(Attrs):
    """The one axis of operand 1 vanishes; the output holds indices of type `output_type`."""

    output_type: DType = DType.INT32

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, axes = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "axis"))
        if axes is None:
            return None
        require(len(axes) == 1, f"{len(axes)} axes are given, 1 is required")
        axis = axis_of(axes[0], len(x))
        return (x[:axis] + x[axis + 1 :],)


def folded(call: Call, op: str, allowed: tuple[DType, ...]) -> Array:
    """The input as `[reduced, kept]`: what is to be combined, in the order of the memory, along the first axis."""
    x = moved(call, op, allowed)
    gone = sorted({axis_number(a, x.ndim) for a in numbers(call, 1)}) if x.ndim else []
    kept = [i for i in range(x.ndim) if i not in gone]
    count = math.prod(x.shape[i] for i in gone)
    rows: Array = x.transpose(*gone, *kept).reshape(count, math.prod(x.shape[i] for i in kept))
    return rows


def total(call: Call, op: str, mean: bool) -> tuple[Array, ...]:
    """SUM or MEAN; the mean of integers divides the rescaling's multiplier, not the sum.

    Source: Mean, ReduceGeneric and QuantizedMeanOrSum, tensorflow/lite/kernels/internal/reference/reduce.h.
    """
    x = folded(call, op, (*NARROW, DType.INT16))
    count, output = len(x), call.outputs[0]
    if output.dtype is DType.FLOAT32:
        zeros = np.zeros((1, x.shape[1]), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            sums = np.add.accumulate(np.concatenate([zeros, x]), axis=0)[-1]  # one after the other, as C adds
        return shaped(call, sums / np.float32(count) if mean and count else sums)
    if not x.size:
        return shaped(call, np.zeros(output.shape))
    given, wanted = quant_of(call.tensor(0)), quant_of(output)
    ratio = float(np.float32(given.scale[0])) / float(np.float32(wanted.scale[0]))
    mantissa, shift = quantize_multiplier(ratio)
    if mean:
        more = min(count.bit_length() - 1, 32, 31 + shift)
        mantissa, shift = (mantissa << more) // count, shift - more
    sums = x.sum(axis=0, dtype=np.int64) - given.zero_point[0] * count
    wrapped = ((sums + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)  # int32 arithmetic
    result = multiply_by_quantized_multiplier(wrapped, mantissa, shift) + wanted.zero_point[0]
    return shaped(call, np.clip(result, *limits(output.dtype)))


def extreme(call: Call, op: str, largest: bool) -> tuple[Array, ...]:
    """REDUCE_MAX or REDUCE_MIN, which do not rescale; not-a-number never wins.

    Source: EvalMinMaxHelper, tensorflow/lite/micro/kernels/reduce_common.cc.
    """
    x = folded(call, op, NARROW)
    if x.dtype != np.float32 and not same_quant(call.tensor(0), call.outputs[0]):
        raise unsupported(op, "an output in another scale than the input")
    info = np.finfo(x.dtype) if x.dtype == np.float32 else np.iinfo(x.dtype)
    if largest:
        return shaped(call, np.fmax.reduce(x, axis=0, initial=x.dtype.type(info.min)))
    return shaped(call, np.fmin.reduce(x, axis=0, initial=x.dtype.type(info.max)))


def first_largest(x: Array, axis: int) -> Array:
    """Index of the first largest element, as a loop with `>` finds it: not-a-number stays only where it is first."""
    if x.dtype == np.float32:
        first = np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]) == 0
        x = np.where(np.isnan(x), np.where(first, np.inf, -np.inf), x)
    return np.asarray(x.argmax(axis))
