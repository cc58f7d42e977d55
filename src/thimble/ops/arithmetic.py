# SPDX-License-Identifier: Apache-2.0
"""What the references of elementwise operators share: rescaling of operands, saturation, tables, refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, DType, Tensor
from thimble.ops.numerics import (
    BOUNDS,
    Array,
    Call,
    activation_range,
    limits,
    multiply_by_quantized_multiplier,
    quant_of,
    quantize_multiplier,
)

QUANTIZED = (DType.INT8, DType.INT16, DType.UINT8)
"""Types with a scale; uint8 is LiteRT's only."""

MOST_NUMBERS = (DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64)
"""Types of the operators that only compare and choose."""


def unsupported(kind: str, tensors: Sequence[Tensor | None]) -> UnsupportedOperatorError:
    """The refusal of operand types, to be raised; `kind` is the operator's name."""
    types = ", ".join(t.dtype.label for t in tensors if t is not None)
    return UnsupportedOperatorError(f"{kind}: there is no reference for operands of type {types}")


def accept(kind: str, call: Call, *types: DType) -> DType:
    """The one type that all operands and results have.

    Raises:
        UnsupportedOperatorError: they differ, or the type is none of `types`.
    """
    tensors = (*call.inputs, *call.outputs)
    found = {t.dtype for t in tensors if t is not None}
    if len(found) != 1 or not found <= set(types):
        raise unsupported(kind, tensors)
    return found.pop()


def scale_of(tensor: Tensor) -> np.float32:
    """The tensor's scale, a float as in the file; operations on it round as C's do."""
    scale: np.float32 = np.float32(quant_of(tensor).scale[0])
    return scale


def centred(call: Call, index: int) -> Array:
    """An operand less its zero point, as int64."""
    return call.value(index).astype(np.int64) - quant_of(call.tensor(index)).zero_point[0]


def rescaled(x: Array, multiplier: float) -> Array:
    """Integers times a real number, in TFLM's fixed point."""
    return multiply_by_quantized_multiplier(x, *quantize_multiplier(float(multiplier)))


def stored(x: Array, tensor: Tensor, activation: Activation = Activation.NONE) -> Array:
    """Integers around 0 as a quantized result: zero point, fused activation, saturation, shape and type."""
    clamped: Array = np.clip(x + quant_of(tensor).zero_point[0], *activation_range(activation, tensor))
    return clamped.astype(tensor.dtype.label).reshape(tensor.shape)


def plain(x: Array, tensor: Tensor, activation: Activation = Activation.NONE) -> Array:
    """Floats or plain integers as a result. Only the three clamping activations exist here, as in TFLM.

    Source: CalculateActivationRange, tensorflow/lite/kernels/kernel_util.h.
    """
    low, high = BOUNDS.get(activation, (None, None))
    if low is not None or high is not None:
        x = np.clip(x, low, high)
    return x.astype(tensor.dtype.label).reshape(tensor.shape)


def summed(call: Call, sign: int, activation: Activation) -> tuple[Array, ...]:
    """Sum (sign 1) or difference (-1) of two quantized operands.

    The multipliers are doubles. The sources of SUB, RELU, LEAKY_RELU and ABS divide floats, yet the released wheel
    gives what doubles give; the two differ by 1 in rare int16 elements.

    Source: AddElementwise and CalculateOpDataAdd, tensorflow/lite/kernels/internal/reference/add.h and
    tensorflow/lite/micro/kernels/add_common.cc; the same for sub.
    """
    out = call.outputs[0]
    bits = 15 if out.dtype is DType.INT16 else 20
    scales = [float(scale_of(call.tensor(i))) for i in (0, 1)]
    twice = 2 * max(scales)
    left, right = (rescaled(centred(call, i) << bits, scales[i] / twice) for i in (0, 1))
    total = rescaled(left + sign * right, twice / ((1 << bits) * float(scale_of(out))))
    return (stored(total, out, activation),)


def by_table(call: Call, function: Callable[[Array], Array]) -> tuple[Array, ...]:
    """A function of single 8-bit elements, evaluated once for each of the 256; it gives values of the output's type."""
    low, high = limits(call.tensor(0).dtype)
    table = function(np.arange(low, high + 1, dtype=np.int64))
    out = call.outputs[0]
    return (table.astype(out.dtype.label)[call.value(0).astype(np.int64) - low].reshape(out.shape),)


def by_floats(call: Call, function: Callable[[Array], Array]) -> tuple[Array, ...]:
    """A function of reals on uint8, as LiteRT's tables have it: in single precision, rounded half away from zero.

    Source: LUTPopulate, tensorflow/lite/kernels/internal/common.h.
    """
    tensor, out = call.tensor(0), call.outputs[0]
    low, high = limits(out.dtype)

    def level(q: Array) -> Array:
        real = scale_of(tensor) * (q - quant_of(tensor).zero_point[0]).astype(np.float32)
        scaled = (function(real) * (np.float32(1) / scale_of(out))).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
        clipped: Array = np.clip(rounded + quant_of(out).zero_point[0], low, high)
        return clipped

    return by_table(call, level)


def of_floats(kind: str, call: Call, function: Callable[[Array], Array]) -> tuple[Array, ...]:
    """A function of float32 elements.

    Raises:
        UnsupportedOperatorError: any other type.
    """
    accept(kind, call, DType.FLOAT32)
    with np.errstate(all="ignore"):
        return (plain(function(call.value(0)), call.outputs[0]),)


def compared(kind: str, call: Call, test: Callable[[Array, Array], Array], *types: DType) -> tuple[Array, ...]:
    """A comparison; int8 operands are brought to one scale in 8 fraction bits first, so near values may be equal.

    Source: ComparisonWithScaling, tensorflow/lite/kernels/internal/reference/comparisons.h, and
    tensorflow/lite/micro/kernels/comparisons.cc.
    """
    out, dtype = call.outputs[0], call.tensor(0).dtype
    if call.tensor(1).dtype is not dtype or dtype not in types or out.dtype is not DType.BOOL:
        raise unsupported(kind, (*call.inputs, out))
    left, right = call.value(0), call.value(1)
    if dtype is DType.INT8:
        left, right = (rescaled(centred(call, i) << 8, float(scale_of(call.tensor(i)))) for i in (0, 1))
    return (test(left, right).reshape(out.shape),)
