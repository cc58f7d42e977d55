# SPDX-License-Identifier: Apache-2.0
"""What the references of the operators that only move elements share."""

from __future__ import annotations

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import DType, Quant, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.strided import block, copies

NARROW = (DType.FLOAT32, DType.INT8, DType.UINT8)
MEDIUM = (*NARROW, DType.INT16)
WIDE = (*MEDIUM, DType.INT32)


def moved(call: Call, op: str, allowed: tuple[DType, ...] | None = None, index: int = 0) -> Array:
    """The array of operand `index`, whose type must be among `allowed` (any, if None).

    Raises:
        UnsupportedOperatorError: TFLM's kernel has no version for the type.
    """
    dtype = call.tensor(index).dtype
    if allowed is not None and dtype not in allowed:
        raise unsupported(op, f"type {dtype.label}")
    return call.value(index)


def unsupported(op: str, what: str) -> UnsupportedOperatorError:
    """The error for what TFLM's kernel refuses."""
    return UnsupportedOperatorError(f"{op}: {what} is not supported")


def shaped(call: Call, *arrays: Array) -> tuple[Array, ...]:
    """The arrays as the call's outputs: of their shapes and types, in one piece."""
    pairs = zip(arrays, call.outputs, strict=True)
    return tuple(np.ascontiguousarray(a, np.dtype(t.dtype.label)).reshape(t.shape) for a, t in pairs)


def numbers(call: Call, index: int) -> list[int]:
    """The integers of an operand that says where or how far to move: axes, extents, paddings."""
    return [int(n) for n in call.value(index).reshape(-1)]


def axis_number(axis: int, rank: int) -> int:
    """A possibly negative axis as a non-negative one."""
    return axis + rank if axis < 0 else axis


def same_quant(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have one scale (in single precision) and zero point for all elements."""
    x, y = quant_of(a), quant_of(b)
    return _first(x) == _first(y)


def _first(quant: Quant) -> tuple[np.float32, int]:
    return np.float32(quant.scale[0]), quant.zero_point[0]


def pad_with(call: Call, op: str) -> tuple[Array, ...]:
    """PAD and PADV2: around the input, zeros (integers of 8 bits: the zero point) or the value of operand 2.

    Source: PadEval, tensorflow/lite/micro/kernels/pad.cc; PadPrepare, pad_common.cc.
    """
    x, output = moved(call, op, WIDE), call.outputs[0]
    byte = output.dtype in (DType.INT8, DType.UINT8)
    if len(call.inputs) > 2 and call.inputs[2] is not None:
        if byte and not same_quant(call.tensor(2), output):
            raise unsupported(op, "a padding value in another scale than the output")
        value = call.value(2).reshape(-1)[0]
    else:
        value = x.dtype.type(quant_of(output).zero_point[0] if byte else 0)
    pads = call.value(1).reshape(-1, 2)
    return shaped(call, np.pad(x, [(int(a), int(b)) for a, b in pads], constant_values=value))


def cut(call: Call, op: str, operand: int, axis: int) -> tuple[Array, ...]:
    """SPLIT and SPLIT_V: parts as long as the outputs, one after the other along an axis.

    Source: SplitImpl, tensorflow/lite/micro/kernels/split.cc and split_v.cc.
    """
    x = moved(call, op, WIDE, operand)
    along = axis_number(axis, x.ndim)
    ends = np.cumsum([t.shape[along] for t in call.outputs])
    return shaped(call, *np.split(x, ends[:-1], axis=along))


def cut_calls(site: Site, x: Tensor, axis: int) -> tuple[KernelCall, ...]:
    """SPLIT and SPLIT_V, a call per output. Kernels: `copy.h`, `strided_copy.h`."""
    along, first = axis_number(axis, len(x.shape)), 0
    calls: tuple[KernelCall, ...] = ()
    for output in site.outputs:
        calls += copies(site, block(x).part(along, first, output.shape[along]), block(output))
        first += output.shape[along]
    return calls
