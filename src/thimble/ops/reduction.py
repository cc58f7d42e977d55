# SPDX-License-Identifier: Apache-2.0
"""Shape rules of the operators that combine all elements along some axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, DType, Shape, Tensor, require
from thimble.kernel import Fields, KernelCall, Site, whole
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
from thimble.ops.strided import constant_numbers, filled

SUFFIXES = {DType.FLOAT32: "f32", DType.INT8: "s8", DType.INT16: "s16", DType.UINT8: "u8", DType.BOOL: "u8"}
"""Ends of the names of kernels, by the type that they are for."""
MOST_AXES = 3
"""Loops that the kernel has over axes that stay, and as many over axes that vanish."""


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
    mantissa, shift = shared_out(mantissa, shift, count) if mean else (mantissa, shift)
    sums = x.sum(axis=0, dtype=np.int64) - given.zero_point[0] * count
    wrapped = ((sums + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)  # int32 arithmetic
    result = multiply_by_quantized_multiplier(wrapped, mantissa, shift) + wanted.zero_point[0]
    return shaped(call, np.clip(result, *limits(output.dtype)))


def shared_out(mantissa: int, shift: int, count: int) -> tuple[int, int]:
    """A multiplier divided by a number of elements, its exponent moved so that few bits are lost."""
    more = min(count.bit_length() - 1, 32, 31 + shift)
    return (mantissa << more) // count, shift - more


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


def sum_calls(site: Site, mean: bool) -> tuple[KernelCall, ...]:
    """The call for SUM or MEAN. Kernels: `reduce.h`."""
    x, output = site.tensor(0), site.outputs[0]
    axes, count = axes_fields(site, (*NARROW, DType.INT16))
    if x.dtype is DType.FLOAT32:
        divisor = float(count) if mean and count else 1.0
        return _call(site, "sum", (axes, ("start", 0.0), ("count", divisor)), count)
    given, wanted = quant_of(x), quant_of(output)
    mantissa, shift = quantize_multiplier(float(np.float32(given.scale[0])) / float(np.float32(wanted.scale[0])))
    mantissa, shift = shared_out(mantissa, shift, count) if mean and count else (mantissa, shift)
    zero, (low, high) = wanted.zero_point[0], limits(output.dtype)
    start = (-given.zero_point[0] * count + (1 << 31)) % (1 << 32) - (1 << 31)
    fields = (axes, ("start", start), ("multiplier", mantissa), ("shift", shift), ("out_zero", zero))
    return _call(site, "sum", (*fields, ("low", low - zero), ("high", high - zero)), count)


def extreme_calls(site: Site, largest: bool, types: tuple[DType, ...] = NARROW) -> tuple[KernelCall, ...]:
    """The call for REDUCE_MAX or REDUCE_MIN, and for those of booleans. Kernels: `reduce.h`."""
    x = site.tensor(0)
    axes, count = axes_fields(site, types)
    kernel = "reduce_max" if largest else "reduce_min"
    if x.dtype is DType.FLOAT32:
        most = float(np.finfo(np.float32).max)
        return _call(site, kernel, (axes, ("start", -most if largest else most), ("count", 1.0)), count)
    if x.dtype is not DType.BOOL and not same_quant(x, site.outputs[0]):
        raise site.unsupported("an output in another scale than the input")
    low, high = (0, 1) if x.dtype is DType.BOOL else limits(x.dtype)
    return _call(site, kernel, (axes, ("start", low if largest else high)), count)


def _call(site: Site, kernel: str, fields: Fields, count: int) -> tuple[KernelCall, ...]:
    x, output = site.tensor(0), site.outputs[0]
    if not x.nbytes and output.nbytes:
        return filled(output, np.array(dict(fields)["start"], output.dtype.label).tobytes())
    struct = "reduce_f32" if x.dtype is DType.FLOAT32 else "reduce"
    same = ((0, 0),) if count == 1 else ()
    name = f"{kernel}_{SUFFIXES[x.dtype]}"
    call = KernelCall(name, "reduce.h", whole(x), whole(output), (), struct, fields, in_place=same)
    return (call,) if output.nbytes else ()


def axes_fields(site: Site, types: tuple[DType, ...]) -> tuple[tuple[str, Fields], int]:
    """The member `axes` of the kernels' parameters, and how many elements an output combines.

    Raises:
        UnsupportedOperatorError: a type that is none of `types`, axes that are no constant, too many groups of axes.
    """
    x, output = site.tensor(0), site.outputs[0]
    if x.dtype not in types or output.dtype is not x.dtype:
        names = ", ".join(dtype.label for dtype in types)
        raise site.unsupported(f"{x.dtype.label} giving {output.dtype.label}; {names} giving the same type can be")
    rank = len(x.shape)
    gone = {axis_number(a, rank) for a in constant_numbers(site, 1)} if rank else set()
    kept, vanishing = ([g for g in _groups(x.shape, gone) if g[2] is away] for away in (False, True))
    if max(len(kept), len(vanishing)) > MOST_AXES:
        raise site.unsupported(f"axes {sorted(gone)} of {rank}: they are more than {MOST_AXES} separate groups")
    fields: list[tuple[str, tuple[int, ...]]] = []
    for name, found in (("kept", kept), ("gone", vanishing)):
        filled = [(1, 0, False)] * (MOST_AXES - len(found)) + found
        fields += [(name, tuple(g[0] for g in filled)), (f"{name}_stride", tuple(g[1] for g in filled))]
    return ("axes", tuple(fields)), math.prod(x.shape[axis] for axis in gone)


def _groups(shape: Shape, gone: set[int]) -> list[tuple[int, int, bool]]:
    """Neighbouring axes that all stay or all vanish as one: (extent, stride in elements, whether it vanishes)."""
    groups: list[tuple[int, int, bool]] = []
    stride = 1
    for axis in reversed(range(len(shape))):
        extent, away = shape[axis], axis in gone
        if extent != 1 and groups and groups[0][2] is away:
            groups[0] = (groups[0][0] * extent, groups[0][1], away)
        elif extent != 1:
            groups.insert(0, (extent, stride, away))
        stride *= extent
    return groups


def row_length(tensor: Tensor) -> int:
    """Elements along the last axis."""
    return tensor.shape[-1] if tensor.shape else 1


def along_last(tensor: Tensor) -> Fields:
    """The members `rows` and `length` of kernels that work along the last axis."""
    length = row_length(tensor)
    return (("rows", tensor.elements // max(1, length)), ("length", length))


def first_largest(x: Array, axis: int) -> Array:
    """Index of the first largest element, as a loop with `>` finds it: not-a-number stays only where it is first."""
    if x.dtype == np.float32:
        first = np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]) == 0
        x = np.where(np.isnan(x), np.where(first, np.inf, -np.inf), x)
    return np.asarray(x.argmax(axis))
