# SPDX-License-Identifier: Apache-2.0
"""What the references of the operators that multiply by weights, or slide a window, have in common.

Integer sums are taken in float64, where a matrix product is fast and exact below 2**53; no model comes near that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, DType, Padding, Tensor
from thimble.ops.legacy import is_legacy
from thimble.ops.numerics import (
    BOUNDS,
    Array,
    Call,
    activation_range,
    multiply_by_quantized_multiplier,
    multiply_wide,
    quant_of,
    quantize_multiplier,
)
from thimble.ops.shapes import Along, along, window

WITH_WEIGHTS = (
    (DType.FLOAT32, DType.FLOAT32),
    (DType.INT8, DType.INT8),
    (DType.INT8, DType.INT4),
    (DType.INT16, DType.INT8),
    (DType.UINT8, DType.UINT8),
)
"""Types of input and weights that have a reference; uint8 is LiteRT's, the others are TFLM's."""

TRANSPOSED_TYPES = ((DType.FLOAT32, DType.FLOAT32), (DType.INT8, DType.INT8), (DType.INT16, DType.INT8))
"""The same for a transposed convolution."""

Pair = tuple[int, int]


def check_types(op: str, call: Call, allowed: Sequence[tuple[DType, ...]], *places: int) -> None:
    """Raise unless the operands at `places` have types that are allowed together, and the output that of the first.

    Raises:
        UnsupportedOperatorError: there is no reference for these types.
    """
    found = tuple(call.tensor(place).dtype for place in places)
    if found not in allowed or call.outputs[0].dtype is not found[0]:
        names = " and ".join(dtype.label for dtype in found)
        raise UnsupportedOperatorError(f"{op}: there is no reference for {names} giving {call.outputs[0].dtype.label}")


def accumulates_wide(op: str, call: Call, place: int, declared: DType, allowed: tuple[DType, ...]) -> bool:
    """Whether sums are int64 (int16 inputs without an int32 bias); without a bias the attribute `declared` decides.

    Raises:
        UnsupportedOperatorError: a bias of a type for which there is no reference.
    """
    bias = bias_of(call, place)
    if bias is not None and bias.dtype not in allowed:
        raise UnsupportedOperatorError(f"{op}: there is no reference for a bias of {bias.dtype.label}")
    return (bias.dtype if bias is not None else declared) is not DType.INT32


def bias_types(dtype: DType) -> tuple[DType, ...]:
    """Types that a bias may have beside inputs of a type."""
    if dtype is DType.INT16:
        return DType.INT32, DType.INT64
    return (DType.FLOAT32,) if dtype is DType.FLOAT32 else (DType.INT32,)


def bias_of(call: Call, place: int) -> Tensor | None:
    """The bias's tensor, if there is one."""
    return call.inputs[place] if place < len(call.inputs) else None


def centred(call: Call, place: int) -> Array:
    """An operand in float64 with its zero point taken off; floats as they are."""
    tensor = call.tensor(place)
    zero = quant_of(tensor).zero_point[0] if tensor.dtype is not DType.FLOAT32 else 0
    return call.value(place).astype(np.float64) - zero


def data_and_filters(call: Call, data: int, filters: int) -> tuple[Array, Array]:
    """Operands of a convolution in float64, without those zero points that the kernels take off.

    Source: tensorflow/lite/kernels/internal/reference/integer_ops/conv.h; for uint8 reference/conv.h.
    """
    wide, legacy = call.tensor(data).dtype is DType.INT16, call.tensor(filters).dtype is DType.UINT8
    x = call.value(data).astype(np.float64) if wide else centred(call, data)
    return x, centred(call, filters) if legacy else call.value(filters).astype(np.float64)


def channel_scales(x: Tensor, weights: Tensor, output: Tensor) -> list[float]:
    """Real multipliers from sums to outputs, one or one per channel.

    Source: PopulateConvolutionQuantizationParams, tensorflow/lite/kernels/kernel_util.cc.
    """
    if is_legacy(x):
        return [product_scale(x, weights, output)]
    before, after = float(np.float32(quant_of(x).scale[0])), float(np.float32(quant_of(output).scale[0]))
    return [before * float(np.float32(scale)) / after for scale in quant_of(weights).scale]


def product_scale(x: Tensor, weights: Tensor, output: Tensor) -> float:
    """The real multiplier from sums to outputs where there is one for all.

    The product is one of doubles, as in the wheel tflite-micro 0.dev20261023; TFLM 90b983c rounds it to float32, as
    is done here for uint8. That moves a result by one where it lies within about 1e-5 of a half.

    Source: GetQuantizedConvolutionMultipler, tensorflow/lite/kernels/kernel_util.cc.
    """
    first, second, third = (np.float32(quant_of(t).scale[0]) for t in (x, weights, output))
    product = float(first * second) if is_legacy(x) else float(first) * float(second)
    return product / float(third)


def requantized(
    sums: Array,
    scales: Sequence[float],
    output: Tensor,
    activation: Activation = Activation.NONE,
    *,
    wide: bool = False,
) -> Array:
    """Sums (channels last) as values of the output, by int32 arithmetic or, if `wide`, by that for int64."""
    mantissa, shift = np.array([quantize_multiplier(scale) for scale in scales], np.int64).T
    multiply = multiply_wide if wide else multiply_by_quantized_multiplier
    low, high = activation_range(activation, output)
    scaled = multiply(sums.astype(np.int64), mantissa, shift) + quant_of(output).zero_point[0]
    clipped: Array = np.clip(scaled, low, high).astype(output.dtype.label)
    return clipped


def clamped(x: Array, activation: Activation) -> Array:
    """Floats as float32 within an activation's bounds; activations that are no bounds change nothing.

    Source: CalculateActivationRange, tensorflow/lite/kernels/kernel_util.h.
    """
    low, high = BOUNDS.get(activation, (None, None))
    most = np.finfo(np.float32).max
    bounded: Array = np.clip(x.astype(np.float32), -most if low is None else low, most if high is None else high)
    return bounded


def with_bias(sums: Array, call: Call, place: int) -> Array:
    """Sums (channels last) plus the bias, if there is one."""
    return sums if bias_of(call, place) is None else sums + call.value(place).astype(np.float64)


def convolved(call: Call, sums: Array, places: tuple[int, int, int], activation: Activation, *, wide: bool) -> Array:
    """A convolution's output from its sums; `places` are those of input, filters and bias."""
    x, filters = call.tensor(places[0]), call.tensor(places[1])
    total = with_bias(sums, call, places[2])
    if x.dtype is DType.FLOAT32:
        return clamped(total, activation)
    scales = channel_scales(x, filters, call.outputs[0])
    return requantized(total, scales, call.outputs[0], activation, wide=wide and x.dtype is DType.INT16)


def margin(size: int, kernel: int, stride: int, padding: Along, dilation: int = 1) -> int:
    """Cells that padding adds before the first one, along one axis.

    Source: ComputePaddingWithOffset, tensorflow/lite/kernels/padding.h.
    """
    if isinstance(padding, tuple):
        return padding[0]
    outputs = window(size, kernel, stride, padding, dilation)
    return max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) // 2


def taps(
    x: Array,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    *,
    margins: tuple[int, ...] = (),
    fill: float = 0,
) -> Iterator[tuple[Pair, Array]]:
    """For each tap (row, column) of a window on `[N,H,W,C]` the cells `[N,H',W',C]` under it, `fill` outside."""
    spans, offsets = [], []
    for axis in (0, 1):
        size, step, reach = x.shape[1 + axis], stride[axis], (kernel[axis] - 1) * dilation[axis] + 1
        pads = along(axis, padding, margins)
        outputs = window(size, kernel[axis], step, pads, dilation[axis])
        before = margin(size, kernel[axis], step, pads, dilation[axis])
        last = (outputs - 1) * step + 1
        spans.append((before, max(last + reach - 1 - before - size, 0)))
        offsets.append([slice(tap * dilation[axis], tap * dilation[axis] + last, step) for tap in range(kernel[axis])])
    padded = np.pad(x, ((0, 0), *spans, (0, 0)), constant_values=fill)
    for row, rows in enumerate(offsets[0]):
        for col, cols in enumerate(offsets[1]):
            yield (row, col), padded[:, rows, cols]
