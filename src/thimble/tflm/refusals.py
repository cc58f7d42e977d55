# SPDX-License-Identifier: Apache-2.0
"""Operators that TFLM's kernels refuse in Prepare; the model then has no arena at all.

Not every check of TFLM is here: those on quantization scales are left out, and most on shapes.

Source: TFLM at 90b983c, the Prepare functions in `tensorflow/lite/micro/kernels/`.
"""

from __future__ import annotations

from collections.abc import Callable

from thimble.ir import DType
from thimble.tflm.kernels import Node, channels, is_constant

_F32, _I8, _I16 = DType.FLOAT32, DType.INT8, DType.INT16
_LARGEST_CONCATENATION = 10  # concatenation.cc: kMaxInputNum

# Element types that a kernel takes: operator -> (which input, types).
_TYPES: dict[str, tuple[int, tuple[DType, ...]]] = {
    "ADD_N": (0, (_F32, _I8)),
    "BATCH_MATMUL": (0, (_F32, _I8, _I16)),
    "CEIL": (0, (_F32,)),
    "CUMSUM": (0, (_F32, _I8)),
    "DEPTH_TO_SPACE": (0, (_F32, _I8)),
    "DEQUANTIZE": (0, (_I8, _I16, DType.UINT8)),
    "EMBEDDING_LOOKUP": (1, (_F32, _I8)),
    "EXP": (0, (_F32,)),
    "GATHER": (0, (_F32, _I8)),
    "GATHER_ND": (0, (_F32, _I8)),
    "L2_NORMALIZATION": (0, (_F32, _I8)),
    "L2_POOL_2D": (0, (_F32,)),
    "REDUCE_ALL": (0, (DType.BOOL,)),
    "ROUND": (0, (_F32,)),
    "SOFTMAX": (0, (_F32, _I8, _I16)),
    "SPACE_TO_DEPTH": (0, (_F32, _I8)),
    "SVDF": (0, (_F32, _I8)),
}

# Inputs that must be constants.
_CONSTANTS: dict[str, tuple[int, ...]] = {
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "PAD": (1,),
    "PADV2": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SPLIT": (0,),
    "SPLIT_V": (2,),
    "STRIDED_SLICE": (1, 2, 3),
    "TRANSPOSE": (1,),
}

# Layers of weights: operator -> (data, weights).
_LAYERS = {"CONV_2D": (0, 1), "DEPTHWISE_CONV_2D": (0, 1), "FULLY_CONNECTED": (0, 1), "TRANSPOSE_CONV": (2, 1)}


def refusal(node: Node) -> str | None:
    """Why TFLM refuses the operator, or None."""
    for check in _CHECKS:
        if reason := check(node):
            return reason
    return None


def _strings(node: Node) -> str | None:
    tensors = (*node.inputs, *node.outputs)
    return "it has no strings" if any(t is not None and t.dtype is DType.STRING for t in tensors) else None


def _element_type(node: Node) -> str | None:
    index, types = _TYPES.get(node.op.kind, (0, ()))
    tensor = node.optional(index)
    if tensor is None or not types or tensor.dtype in types:
        return None
    return f"its kernel takes {' and '.join(t.label for t in types)}, not {tensor.dtype.label}"


def _constant(node: Node) -> str | None:
    for index in _CONSTANTS.get(node.op.kind, ()):
        tensor = node.optional(index)
        if tensor is not None and not is_constant(tensor):
            return f"its input {index} '{tensor.name}' must be a constant"
    return None


def _hybrid(node: Node) -> str | None:
    """Pairs of data and weights; dynamic-range and uint8 models fail here."""
    if node.op.kind not in _LAYERS:
        return None
    data, weights = (node.input(i) for i in _LAYERS[node.op.kind])
    narrow = (_I8,) if node.op.kind == "TRANSPOSE_CONV" else (_I8, DType.INT4)
    allowed = {_F32: (_F32,), _I8: narrow, _I16: (_I8,)}
    if weights.dtype not in allowed.get(data.dtype, ()):
        return f"it has no kernel for {data.dtype.label} data with {weights.dtype.label} weights"
    if node.output().dtype is not data.dtype:
        return f"it has no kernel from {data.dtype.label} to {node.output().dtype.label}"
    return None


def _per_channel(node: Node) -> str | None:
    """Fully connected layers with a scale per channel: not with int4, in CMSIS-NN builds not with int16."""
    if node.op.kind != "FULLY_CONNECTED" or channels(node.input(1).quant) < 2 or node.input().dtype is _F32:
        return None
    if node.input(1).dtype is DType.INT4 or (node.input().dtype is _I16 and node.target.kernels == "cmsis-nn"):
        return "it has no kernel with a scale per channel for these element types"
    return None


def _missing_bias(node: Node) -> str | None:
    """Source: cmsis_nn/transpose_conv.cc, which reads the bias without asking whether there is one."""
    if node.op.kind != "TRANSPOSE_CONV" or node.target.kernels != "cmsis-nn" or node.optional(3) is not None:
        return None
    return "its CMSIS-NN kernel for int16 needs a bias" if node.input(2).dtype is _I16 else None


def _many_inputs(node: Node) -> str | None:
    count = len(node.inputs)
    if node.op.kind != "CONCATENATION" or count <= _LARGEST_CONCATENATION:
        return None
    return f"it joins {_LARGEST_CONCATENATION} tensors at most, this one has {count}"


def _reshape(node: Node) -> str | None:
    """Source: reshape_common.cc."""
    if node.op.kind != "RESHAPE" or node.input().elements == node.output().elements:
        return None
    return f"it cannot reshape {node.input().elements} elements to {node.output().elements}"


_CHECKS: tuple[Callable[[Node], str | None], ...] = (
    _strings,
    _element_type,
    _constant,
    _hybrid,
    _per_channel,
    _missing_bias,
    _many_inputs,
    _reshape,
)
