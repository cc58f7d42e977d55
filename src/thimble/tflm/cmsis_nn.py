# SPDX-License-Identifier: Apache-2.0
"""What TFLM's CMSIS-NN kernels request; operators without one have the reference kernel.

CMSIS-NN has three flavours: plain C, DSP (Armv7E-M) and MVE (Helium). Where a size differs between them
the function says so. GCC and LLVM builds: Arm's own compiler asks for a little more in two places.

Source: TFLM at 90b983c, `tensorflow/lite/micro/kernels/cmsis_nn/`, built for speed
(KERNELS_OPTIMIZED_FOR_SPEED, its default); CMSIS-NN at 4ab83cc, the files `*get_buffer_size*` in `Source/`.
"""

from __future__ import annotations

from collections.abc import Callable

from thimble.ir import DType, Padding, Shape, Tensor
from thimble.ops.cmsis_sizes import Pair, Slide, average_pool_s8, convolve_s8, depthwise_s8, im2col_s8, up
from thimble.tflm import reference
from thimble.tflm.kernels import Node, UnpredictableError, Use, flat, is_constant, is_quantized

_MANY_CHANNELS = 16  # REVERSE_TCOL_EFFICIENT_THRESHOLD


def _padding(node: Node, data: Shape, filters: Shape, stride: Pair, dilation: Pair) -> Pair:
    """Rows above and columns left of the image. Source: tensorflow/lite/kernels/padding.h."""

    def one(size: int, taps: int, step: int, spread: int) -> int:
        reach = (taps - 1) * spread + 1
        out = -(-size // step) if node.attr("padding") is Padding.SAME else (size + step - reach) // step
        return max(0, (out - 1) * step + reach - size) // 2

    return Pair(
        one(data[1], filters[1], stride.h, dilation.h),
        one(data[2], filters[2], stride.w, dilation.w),
    )


def _window(node: Node, data: Shape, filters: Shape) -> Slide:
    stride = Pair(node.attr("stride_h"), node.attr("stride_w"))
    dilation = Pair(node.attr("dilation_h_factor"), node.attr("dilation_w_factor"))
    if min(*stride, *dilation) < 1:
        raise UnpredictableError("its stride or dilation is below 1")
    return Slide(stride, dilation, _padding(node, data, filters, stride, dilation))


def _convolve_s16(data: Shape, filters: Shape, *, mve: bool) -> int:
    """arm_convolve_wrapper_s16_get_buffer_size."""
    columns = data[3] * filters[1] * filters[2]
    return 4 * up(columns, 8) * 2 if mve else 2 * columns * 2


def _some(size: int) -> tuple[int, ...]:
    """A scratch buffer that is requested only when it is not empty."""
    return (size,) if size > 0 else ()


def conv_2d(node: Node) -> Use:
    """Source: cmsis_nn/conv.cc. int4 weights take the int8 sizes."""
    data, weights = node.input(), node.input(1)
    init = (node.sizeof("CmsisConv"),)
    if not is_quantized(data):
        return Use(init)
    shape, filters, out = node.shape(data, 4), node.shape(weights, 4), node.shape(node.output(), 4)
    window = _window(node, shape, filters)
    if data.dtype is DType.INT8:
        size = convolve_s8(window, shape, filters, out, mve=node.target.mve)
    else:
        size = _convolve_s16(shape, filters, mve=node.target.mve)
    return Use(init, reference.per_channel(node, weights, 0), _some(size))


def depthwise_conv_2d(node: Node) -> Use:
    """Source: cmsis_nn/depthwise_conv.cc."""
    data, weights = node.input(), node.input(1)
    init = (node.sizeof("CmsisConv"),)
    if not is_quantized(data):
        return Use(init)
    persistent = reference.per_channel(node, weights, 3)
    if data.dtype is not DType.INT8:
        return Use(init, persistent)
    shape, filters, out = node.shape(data, 4), node.shape(weights, 4), node.shape(node.output(), 4)
    window = _window(node, shape, filters)
    dsp, mve, int4 = node.target.dsp, node.target.mve, weights.dtype is DType.INT4
    return Use(init, persistent, _some(depthwise_s8(window, shape, filters, out, dsp=dsp, mve=mve, int4=int4)))


def fully_connected(node: Node) -> Use:
    """Source: cmsis_nn/fully_connected.cc. MVE sums each row of constant weights once and keeps the sums."""
    data, weights, bias, out = node.input(), node.input(1), node.optional(2), node.output()
    init, persistent = (node.sizeof("CmsisFullyConnected"),), reference.fully_connected_channels(node)
    if data.dtype is not DType.INT8 or weights.dtype is DType.INT4:
        return Use(init, persistent)
    depth, accumulated = node.shape(out, 1)[-1], node.shape(weights, 1)[-1]
    if len(out.shape) > 2 and accumulated % 4 == 0:  # runs as a 1x1 convolution, with a scale per channel
        return Use(init, persistent, () if persistent else (8 * depth,))
    sums = 4 * depth if node.target.mve else 0
    if sums and is_constant(weights) and (bias is None or is_constant(bias)):
        return Use(init, (*persistent, sums))
    return Use(init, persistent, _some(sums))


def average_pool_2d(node: Node) -> Use:
    """Source: cmsis_nn/pooling.cc."""
    depth = node.shape(node.input(), 4)[3] if is_quantized(node.input()) else 0
    sums = average_pool_s8(depth, dsp=node.target.dsp, mve=node.target.mve)
    return Use((node.sizeof("CmsisPooling"),), (), _some(sums))


def max_pool_2d(node: Node) -> Use:
    """Source: cmsis_nn/pooling.cc."""
    return Use((node.sizeof("CmsisPooling"),))


def add(node: Node) -> Use:
    """Source: cmsis_nn/add.cc."""
    return Use((node.sizeof("CmsisAdd"),))


def softmax(node: Node) -> Use:
    """Source: cmsis_nn/softmax.cc."""
    return Use((node.sizeof("CmsisSoftmax"),), reference.softmax_tables(node))


def svdf(node: Node) -> Use:
    """Source: cmsis_nn/svdf.cc; arm_svdf_s8_get_buffer_size: MVE keeps a sum per filter."""
    sums = node.shape(node.input(1), 1)[0] * 4 if node.target.mve and node.input().dtype is DType.INT8 else 0
    return Use((node.sizeof("CmsisSvdf"),), _some(sums), reference.svdf_scratch(node))


def batch_matmul(node: Node) -> Use:
    """Source: cmsis_nn/batch_matmul.cc."""
    data, out = node.input(), node.output()
    persistent = (*reference.matmul_operands(node), node.target.int_bytes * (1 + len(out.shape)))
    if is_quantized(data):
        persistent = (*persistent, node.sizeof("QuantizationOpDataBatchMatmul"))
    sums = 4 * node.shape(out, 1)[-1] if node.target.mve and data.dtype is DType.INT8 else 0
    return Use((node.sizeof("CmsisBatchMatmul"),), persistent, _some(sums))


def _transpose_conv_s8(node: Node, data: Tensor, weights: Tensor) -> tuple[int, int]:
    """arm_transpose_conv_s8_get_buffer_size and _get_reverse_conv_buffer_size."""
    shape, filters = node.shape(data, 4), node.shape(weights, 4)
    stride = Pair(node.attr("stride_h"), node.attr("stride_w"))
    if max(stride) <= 2 and shape[3] > _MANY_CHANNELS:
        columns = flat(filters[1:])
        return im2col_s8(columns, mve=node.target.mve), columns * filters[0]
    # The width of the filter is compared with the stride's height, as in CMSIS-NN.
    row = ((shape[2] - 1) * stride.w + max(filters[2], stride.h)) * filters[0]
    return 4 * row * max(filters[1], stride.h), 0


def transpose_conv(node: Node) -> Use:
    """Source: cmsis_nn/transpose_conv.cc. Buffers are requested even when empty."""
    weights, data, bias = node.input(1), node.input(2), node.optional(3)
    scratch: tuple[int, ...] = ()
    if data.dtype is DType.INT8:
        scratch = _transpose_conv_s8(node, data, weights)
    elif data.dtype is DType.INT16:
        scratch = (8 * flat(node.output().shape), *reference.bias_converted(bias))
    return Use((node.sizeof("CmsisTransposeConv"),), reference.per_channel(node, weights, 0), scratch)


def lstm(node: Node) -> Use:
    """Source: cmsis_nn/unidirectional_sequence_lstm.cc: two kernel sums per gate, three buffers instead of four."""
    batch, width, cell = reference.lstm_sizes(node)
    buffer = batch * width * (cell.bits // 8)
    init = (node.sizeof("CmsisLSTM"),)
    if cell is not DType.INT16 or not is_quantized(node.input()):
        return Use(init, (), (buffer,) * 4)
    sums = width * (4 if node.input().dtype is DType.INT8 else 8)
    return Use(init, (sums,) * 8, (buffer,) * 3)


_FUNCTIONS: dict[str, Callable[[Node], Use]] = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "BATCH_MATMUL": batch_matmul,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "MAX_POOL_2D": max_pool_2d,
    "SOFTMAX": softmax,
    "SVDF": svdf,
    "TRANSPOSE_CONV": transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
}


def use(node: Node) -> Use:
    """What the kernel of a builtin operator requests in a CMSIS-NN build.

    Raises:
        UnpredictableError: TFLM has no such kernel, or refuses the operands.
    """
    return _FUNCTIONS.get(node.op.kind, reference.use)(node)
