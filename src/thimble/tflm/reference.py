# SPDX-License-Identifier: Apache-2.0
"""What TFLM's reference kernels request, per operator.

Source: TFLM at 90b983c, `tensorflow/lite/micro/kernels/`; each function names its file.
"""

from __future__ import annotations

from collections.abc import Callable

from thimble.ir import DType, Tensor
from thimble.tflm.kernels import (
    Node,
    UnpredictableError,
    Use,
    channels,
    dims_bytes,
    flat,
    is_quantized,
)

_INT16_TABLE = 2 * 513  # kernels/internal/common.h: a lookup table over int16, 513 entries

# Operators whose kernel allocates its OpData in Init and nothing else: name -> struct.
_PLAIN = {
    "ABS": "OpDataAbsRsqrt",
    "ADD": "OpDataAdd",
    "AVERAGE_POOL_2D": "OpDataPooling",
    "CALL_ONCE": "OpDataCallOnce",
    "CONCATENATION": "OpDataConcatenation",
    "DEQUANTIZE": "DequantizeOpData",
    "DIV": "OpDataDiv",
    "ELU": "OpDataElu",
    "EQUAL": "OpDataComparisons",
    "GREATER": "OpDataComparisons",
    "GREATER_EQUAL": "OpDataComparisons",
    "HARD_SWISH": "HardSwishParams",
    "IF": "OpDataIf",
    "L2_NORMALIZATION": "L2NormalizationParams",
    "LEAKY_RELU": "LeakyReluOpData",
    "LESS": "OpDataComparisons",
    "LESS_EQUAL": "OpDataComparisons",
    "LOGISTIC": "OpDataLogistic",
    "MAX_POOL_2D": "OpDataPooling",
    "MUL": "OpDataMul",
    "NOT_EQUAL": "OpDataComparisons",
    "PAD": "OpDataPad",
    "PADV2": "OpDataPad",
    "PRELU": "PreluParams",
    "QUANTIZE": "OpDataQuantizeReference",
    "RELU": "ReluOpData",
    "RELU6": "Relu6OpData",
    "RSQRT": "OpDataAbsRsqrt",
    "SELECT_V2": "OpDataSelect",
    "SPACE_TO_BATCH_ND": "SpaceToBatchParams",
    "SQUARED_DIFFERENCE": "OpDataSquaredDifference",
    "STRIDED_SLICE": "StridedSliceParams",
    "SUB": "OpDataSub",
    "TANH": "OpDataTanh",
    "VAR_HANDLE": "OpDataVarHandle",
    "WHILE": "OpDataWhile",
}

# Operators whose kernel requests nothing.
_NOTHING = frozenset(
    (
        "ARG_MAX",
        "ARG_MIN",
        "BATCH_TO_SPACE_ND",
        "BROADCAST_ARGS",
        "BROADCAST_TO",
        "CAST",
        "CEIL",
        "COS",
        "DYNAMIC_UPDATE_SLICE",
        "EXP",
        "EXPAND_DIMS",
        "FILL",
        "FLOOR",
        "FLOOR_DIV",
        "FLOOR_MOD",
        "LOG",
        "LOGICAL_AND",
        "LOGICAL_NOT",
        "LOGICAL_OR",
        "MAXIMUM",
        "MINIMUM",
        "NEG",
        "PACK",
        "READ_VARIABLE",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "REVERSE_V2",
        "ROUND",
        "SHAPE",
        "SIN",
        "SLICE",
        "SPLIT",
        "SPLIT_V",
        "SQRT",
        "SQUARE",
        "SQUEEZE",
        "TRANSPOSE",
        "UNPACK",
        "ZEROS_LIKE",
    )
)


def _dims_copy(node: Node) -> Use:
    """Kernels that rewrite the output's shape copy it to the arena first. Source: kernel_util.cc."""
    return Use(prepare=(dims_bytes(len(node.output().shape), node.target),))


def per_channel(node: Node, filters: Tensor, axis: int) -> tuple[int, int]:
    """Multipliers and shifts, one of each per channel along `axis` of the weights."""
    count = node.shape(filters, axis + 1)[axis]
    return 4 * count, 4 * count


def _convolution(node: Node, axis: int) -> Use:
    weights = node.input(1)
    scratch = (flat(weights.shape),) if weights.dtype is DType.INT4 else ()
    return Use((node.sizeof("OpDataConv"),), per_channel(node, weights, axis), scratch)


def conv_2d(node: Node) -> Use:
    """Source: conv_common.cc."""
    return _convolution(node, 0)


def depthwise_conv_2d(node: Node) -> Use:
    """Source: depthwise_conv_common.cc."""
    return _convolution(node, 3)


def fully_connected_channels(node: Node) -> tuple[int, ...]:
    """Multipliers and shifts of a quantized layer with more than one scale. Source: fully_connected_common.cc."""
    count = channels(node.input(1).quant)
    return (4 * count, 4 * count) if node.input().dtype is not DType.FLOAT32 and count > 1 else ()


def fully_connected(node: Node) -> Use:
    """Source: fully_connected.cc."""
    weights = node.input(1)
    scratch = (flat(weights.shape),) if weights.dtype is DType.INT4 else ()
    return Use((node.sizeof("OpDataFullyConnected"),), fully_connected_channels(node), scratch)


def transpose_conv(node: Node) -> Use:
    """Source: transpose_conv.cc."""
    weights, data, bias = node.input(1), node.input(2), node.optional(3)
    scratch: tuple[int, ...] = ()
    if data.dtype is DType.INT8:
        scratch = (4 * flat(node.output().shape),)
    elif data.dtype is DType.INT16:
        scratch = (8 * flat(node.output().shape), *bias_converted(bias))
    return Use((node.sizeof("OpDataTransposeConv"),), per_channel(node, weights, 0), scratch)


def bias_converted(bias: Tensor | None) -> tuple[int, ...]:
    """A 16-bit bias of a transposed convolution is widened to 64 bits."""
    return (8 * flat(bias.shape),) if bias is not None and bias.dtype is DType.INT16 else ()


def svdf_scratch(node: Node) -> tuple[int, ...]:
    """Source: svdf_common.cc."""
    batch = node.shape(node.input(), 1)[0]
    filters, rank = node.shape(node.input(1), 1)[0], node.attr("rank")
    if node.input().dtype is not DType.INT8:
        return (4 * batch * filters,)
    if rank == 0:
        raise UnpredictableError("its rank is 0")
    return 4 * batch * filters, 4 * batch * (filters // rank)


def _svdf(node: Node) -> Use:
    return Use((node.sizeof("OpDataSvdf"),), (), svdf_scratch(node))


def lstm_sizes(node: Node) -> tuple[int, int, DType]:
    """(batch, state width, cell type). Source: lstm_eval_common.cc."""
    shape = node.shape(node.input(), 3)
    batch = shape[1] if node.attr("time_major") else shape[0]
    return batch, node.shape(node.input(18), 2)[1], node.input(19).dtype


def _lstm(node: Node) -> Use:
    """Source: unidirectional_sequence_lstm.cc."""
    batch, width, cell = lstm_sizes(node)
    return Use((node.sizeof("OpDataLSTM"),), (), (batch * width * (cell.bits // 8),) * 4)


def transposed(node: Node, tensor: Tensor) -> tuple[int, ...]:
    """A transposed copy of an operand: tensor struct, shape, data. Source: batch_matmul.cc."""
    data = flat(tensor.shape) * max(1, tensor.dtype.bits // 8)
    return node.sizeof("TfLiteEvalTensor"), dims_bytes(len(tensor.shape), node.target), data


def matmul_operands(node: Node) -> tuple[int, ...]:
    """Transposed copies of the operands: the left if `adj_x`, the right unless `adj_y`."""
    copies: tuple[int, ...] = transposed(node, node.input(0)) if node.attr("adj_x") else ()
    return copies if node.attr("adj_y") else copies + transposed(node, node.input(1))


def _batch_matmul(node: Node) -> Use:
    """Source: batch_matmul.cc, batch_matmul_common.cc."""
    quant = (node.sizeof("QuantizationOpDataBatchMatmul"),) if is_quantized(node.input()) else ()
    return Use((node.sizeof("OpDataBatchMatmul"),), quant + matmul_operands(node) + _dims_copy(node).prepare)


def softmax_tables(node: Node) -> tuple[int, ...]:
    """Lookup tables of int16 softmax. Source: softmax_common.cc."""
    return (_INT16_TABLE, _INT16_TABLE) if node.input().dtype is DType.INT16 else ()


def _softmax(node: Node) -> Use:
    return Use((node.sizeof("SoftmaxParams"),), softmax_tables(node))


def _reduce(node: Node) -> Use:
    """Source: reduce_common.cc."""
    width = node.target.int_bytes
    scratch = (width * len(node.input().shape), width * flat(node.input(1).shape))
    if node.op.kind in ("MEAN", "SUM") and is_quantized(node.input()):
        scratch = (4 * flat(node.output().shape), *scratch)  # type: ignore[assignment]
    return Use((node.sizeof("OpDataReduce"),), (), scratch)


def _add_n(node: Node) -> Use:
    """Source: add_n.cc."""
    pointers = (node.target.pointer_bytes * len(node.inputs),)
    return Use((), _int8_data(node, "OpDataAddN"), pointers)


def _int8_data(node: Node, struct: str) -> tuple[int, ...]:
    """OpData that only the int8 kernel allocates, in Prepare. Source: add_n.cc, cumsum.cc, log_softmax.cc."""
    return (node.sizeof(struct),) if node.output().dtype is DType.INT8 else ()


def _cumsum(node: Node) -> Use:
    return Use((), _int8_data(node, "OpDataCumSum"))


def _log_softmax(node: Node) -> Use:
    return Use((), _int8_data(node, "LogSoftmaxOpData"))


def _mirror_pad(node: Node) -> Use:
    """Source: mirror_pad.cc."""
    dims = node.target.int_bytes * len(node.input().shape)
    return Use((node.sizeof("OpDataMirrorPad"),), (), (dims, dims))


def _embedding_lookup(node: Node) -> Use:
    """Source: embedding_lookup.cc."""
    return Use((), (*_dims_copy(node).prepare, node.sizeof("OpDataEmbeddingLookup")))


def _assign_variable(node: Node) -> Use:
    """OpData with compression only; the variable itself is in `persistent`. Source: assign_variable.cc."""
    return Use((node.sizeof("OpDataAssignVariable"),) if node.target.wheel else ())


_FUNCTIONS: dict[str, Callable[[Node], Use]] = {
    "ADD_N": _add_n,
    "ASSIGN_VARIABLE": _assign_variable,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": conv_2d,
    "CUMSUM": _cumsum,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEPTH_TO_SPACE": _dims_copy,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "FULLY_CONNECTED": fully_connected,
    "GATHER": _dims_copy,
    "GATHER_ND": _dims_copy,
    "L2_POOL_2D": _dims_copy,
    "LOG_SOFTMAX": _log_softmax,
    "MEAN": _reduce,
    "MIRROR_PAD": _mirror_pad,
    "REDUCE_ALL": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _dims_copy,
    "SUM": _reduce,
    "SVDF": _svdf,
    "TRANSPOSE_CONV": transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}


def use(node: Node) -> Use:
    """What the reference kernel of a builtin operator requests.

    Raises:
        UnpredictableError: TFLM has no such kernel, or refuses the operands.
    """
    kind = node.op.kind
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind](node)
    if kind in _PLAIN:
        return Use((node.sizeof(_PLAIN[kind]),))
    if kind in _NOTHING:
        return Use()
    raise UnpredictableError("TFLM has no kernel for it")
