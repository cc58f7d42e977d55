# SPDX-License-Identifier: Apache-2.0
"""Operator versions: which release of an operator a `.tflite` asks for, by the types of its operands."""

from __future__ import annotations

from thimble.ir import DType, Graph, Kind, Op, Tensor

# Version since which an operator takes int8 activations; those not named took them from the start.
_INT8 = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FILL": 3,
    "FULLY_CONNECTED": 4,
    "SVDF": 3,
    **dict.fromkeys(("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SUM", "MEAN", "REDUCE_MAX", "ARG_MAX", "ARG_MIN"), 2),
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "TOPK_V2"), 2),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "TRANSPOSE_CONV", "L2_NORMALIZATION", "DEQUANTIZE"), 2),
    **dict.fromkeys(("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "SOFTMAX", "LOG_SOFTMAX"), 2),
    **dict.fromkeys(("CONCATENATION", "SPLIT", "PACK", "UNPACK", "PAD", "PADV2", "SLICE", "STRIDED_SLICE"), 2),
    **dict.fromkeys(("BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "TRANSPOSE"), 2),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), 2),
}

# The same for float activations with int8 weights.
_HYBRID = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 3}


def operator_version(op: Op, graph: Graph) -> int:
    """The least version that knows the operator's operands and options.

    Runtimes refuse a version above their own, and take any below it. int16 activations are not told apart
    from float ones.

    Source: registrations in tensorflow/lite/core/kernels/register.cc; versions in published models.
    """
    operands = tuple(t for t in (*graph.operands(op), *graph.results(op)) if t is not None)
    return max(_by_type(op.kind, operands), _by_option(op))


def _by_type(kind: str, operands: tuple[Tensor, ...]) -> int:
    stored = {t.dtype for t in operands if t.kind is Kind.CONSTANT}
    active = {t.dtype for t in operands if t.kind is not Kind.CONSTANT}
    if DType.INT8 in active:
        return _INT8.get(kind, 1)
    if DType.INT8 in stored and DType.FLOAT32 in active:
        return _HYBRID.get(kind, 1)
    return 2 if kind == "DEQUANTIZE" and DType.FLOAT16 in stored | active else 1


def _by_option(op: Op) -> int:
    if getattr(op.attrs, "half_pixel_centers", False):
        return 3
    if getattr(op.attrs, "keep_num_dims", False):
        return 5
    dilated = max(getattr(op.attrs, "dilation_w_factor", 1), getattr(op.attrs, "dilation_h_factor", 1)) > 1
    return 2 if dilated and op.kind == "DEPTHWISE_CONV_2D" else 1
