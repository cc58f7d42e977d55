# SPDX-License-Identifier: Apache-2.0
"""The smallest model of each operator, to find out for which types it can be compiled.

A recipe lists operands: a letter and a shape such as `x1x4x4x3`, or integers such as `i0,1`. Letters: x a tensor of the
type that is tried, c the same as a constant, w weights and b a bias that go with it (constants), v a variable; t time
weights, m and s states, which are int16 beside int8; I an int32 tensor, B a bool tensor; i an int32 constant (`i2` a
scalar, `i2,` a vector of one), p one of pairs, n a scalar of the type that is tried; - no
operand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thimble.ir import Activation, DType, Graph, Kind, Model, Op, OpId, Quant, Shape, Source, Tensor, TensorId
from thimble.ops import OPERATORS
from thimble.ops.mirror_pad import MirrorPadMode

F32, I8, I16, I32, I64, U8 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64, DType.UINT8
TYPES = (F32, I8, I16, U8, I32, I64, DType.BOOL)
"""What is tried; uint8 is quantized as old models are."""
_WITH_WEIGHTS = {F32: (F32, F32), I8: (I8, I32), U8: (U8, I32), I16: (I8, I64)}
"""Types of weights and bias beside the input's."""
_QUANTS = {U8: Quant((2.0**-4,), (128,)), I8: Quant((2.0**-4,), (0,)), I16: Quant((2.0**-11,), (0,))}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Operands; the result's type where it is not the type that is tried, and its shape where no rule gives it."""

    operands: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    result: DType | None = None
    shape: Shape | None = None


_IMAGE = "x1x4x4x8"
_ONE, _TWO = Recipe(_IMAGE), Recipe(f"{_IMAGE} {_IMAGE}")
_COMPARED, _REDUCED = Recipe(f"{_IMAGE} {_IMAGE}", {}, DType.BOOL), Recipe(f"{_IMAGE} i1,2", {"keep_dims": True})
_POOL = {"filter_width": 2, "filter_height": 2, "stride_w": 2, "stride_h": 2}
_LSTM = " ".join(["x1x3x4", *["w6x4"] * 4, *["w6x6"] * 4, "- - -", *["b6"] * 4, "- -", "v1x6 m1x6", "- - - -"])

_OF_ONE = """
    ABS CEIL COS ELU EXP FLOOR GELU HARD_SWISH L2_NORMALIZATION LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_NOT LOGISTIC
    LOG_SOFTMAX NEG RELU RELU6 RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE TANH ZEROS_LIKE
"""
_OF_TWO = """
    ADD DIV FLOOR_DIV FLOOR_MOD LOGICAL_AND LOGICAL_OR MAXIMUM MINIMUM MUL POW PRELU SQUARED_DIFFERENCE SUB
"""

RECIPES: dict[str, Recipe] = {
    **dict.fromkeys(_OF_ONE.split(), _ONE),
    **dict.fromkeys(_OF_TWO.split(), _TWO),
    **dict.fromkeys(["EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"], _COMPARED),
    **dict.fromkeys(["MEAN", "REDUCE_ALL", "REDUCE_ANY", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "SUM"], _REDUCED),
    **dict.fromkeys(["AVERAGE_POOL_2D", "L2_POOL_2D", "MAX_POOL_2D"], Recipe(_IMAGE, _POOL)),
    **dict.fromkeys(["ARG_MAX", "ARG_MIN"], Recipe(f"{_IMAGE} i3", {}, I32)),
    **dict.fromkeys(["RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"], Recipe(f"{_IMAGE} i8,8")),
    **dict.fromkeys(["DEPTH_TO_SPACE", "SPACE_TO_DEPTH"], Recipe(_IMAGE, {"block_size": 2})),
    **dict.fromkeys(["SELECT", "SELECT_V2"], Recipe("B4x8 x4x8 x4x8")),
    "ADD_N": Recipe(f"{_IMAGE} {_IMAGE} {_IMAGE}"),
    "BATCH_MATMUL": Recipe("x1x4x8 x1x8x4"),
    "BATCH_TO_SPACE_ND": Recipe("x4x4x4x8 i2,2 p0,0,0,0"),
    "BROADCAST_ARGS": Recipe("I2 I2", {}, I32),
    "BROADCAST_TO": Recipe("x1x8 i4,8"),
    "CAST": Recipe("x4x8", {}, F32),
    "CONCATENATION": Recipe("x4x8 x4x8", {"axis": 1}),
    "CONV_2D": Recipe(f"{_IMAGE} w8x3x3x8 b8"),
    "CUMSUM": Recipe("x4x8 i1"),
    "DEPTHWISE_CONV_2D": Recipe(f"{_IMAGE} w1x3x3x8 b8"),
    "DEQUANTIZE": Recipe(_IMAGE, {}, F32),
    "DYNAMIC_UPDATE_SLICE": Recipe("x4x8 x2x8 I2"),
    "EMBEDDING_LOOKUP": Recipe("I4 c4x8"),
    "EXPAND_DIMS": Recipe("x4x8 i0"),
    "FILL": Recipe("i4,8 x"),
    "FULLY_CONNECTED": Recipe("x1x16 w8x16 b8"),
    "GATHER": Recipe("x4x8 I4"),
    "GATHER_ND": Recipe("x4x8 I4x2"),
    "LEAKY_RELU": Recipe(_IMAGE, {"alpha": 0.1}),
    "MIRROR_PAD": Recipe("x4x8 p1,1,2,2", {"mode": MirrorPadMode.REFLECT}),
    "ONE_HOT": Recipe("I4 i5 x x", {"axis": -1}),
    "PACK": Recipe("x4x8 x4x8", {"values_count": 2}),
    "PAD": Recipe("x4x8 p1,1,2,2"),
    "PADV2": Recipe("x4x8 p1,1,2,2 c"),
    "QUANTIZE": Recipe(_IMAGE, {}, I8),
    "RANGE": Recipe("n0 n1 n1"),
    "RANK": Recipe("x4x8", {}, I32),
    "RESHAPE": Recipe("x4x8 i8,4"),
    "REVERSE_V2": Recipe("x4x8 i1,"),
    "SHAPE": Recipe("x4x8", {}, I32),
    "SLICE": Recipe("x4x8 i1,2 i2,3"),
    "SOFTMAX": Recipe("x1x16", {"beta": 1.0}),
    "SPACE_TO_BATCH_ND": Recipe(f"{_IMAGE} i2,2 p0,0,0,0"),
    "SPARSE_TO_DENSE": Recipe("I2x2 i4,8 x2 x", {}, None, (4, 8)),
    "SPLIT": Recipe("i1 x4x8", {"num_splits": 2}),
    "SPLIT_V": Recipe("x4x8 i3,5 i1", {"num_splits": 2}),
    "SQUEEZE": Recipe("x1x8", {"squeeze_dims": (0,)}),
    "STRIDED_SLICE": Recipe("x4x8 i0,0 i4,8 i2,1"),
    "SVDF": Recipe("x1x8 w4x8 t4x3 b4 s1x12", {"rank": 1}),
    "TILE": Recipe("x4x8 i1,2"),
    "TOPK_V2": Recipe("x4x8 i2"),
    "TRANSPOSE": Recipe("x4x8 i1,0"),
    "TRANSPOSE_CONV": Recipe(f"i1,8,8,8 w8x3x3x8 {_IMAGE} b8", {"stride_w": 2, "stride_h": 2}),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Recipe(_LSTM, {"fused_activation_function": Activation.TANH}),
    "UNPACK": Recipe("x4x8", {"num": 4}),
}


def model_of(kind: str, dtype: DType, recipe: Recipe | None = None) -> Model | None:
    """The operator's recipe, or another one for it, with a type; None if there is none, or it has no such type."""
    recipe = recipe or RECIPES.get(kind)
    if recipe is None:
        return None
    tensors: list[Tensor] = []
    places: list[TensorId | None] = []
    for word in recipe.operands.split():
        tensor = None if word == "-" else _tensor(word[0], word[1:], dtype)
        places.append(None if tensor is None else TensorId(len(tensors)))
        tensors += [] if tensor is None else [replace(tensor, id=TensorId(len(tensors)), name=f"t{len(tensors)}")]
    attrs = OPERATORS[kind](**_typed(kind, recipe, dtype))
    operands = tuple(None if place is None else tensors[place] for place in places)
    shapes = (recipe.shape,) if recipe.shape is not None else attrs.output_shapes(operands) or ((4, 8),)
    first = len(tensors)
    for number, shape in enumerate(shapes):
        base = _plain(shape, recipe.result or dtype, Kind.ACTIVATION)
        tensors.append(replace(base, id=TensorId(first + number), name=f"t{first + number}"))
    results = tuple(TensorId(first + number) for number in range(len(shapes)))
    given = tuple(tensor.id for tensor in tensors if tensor.kind is Kind.INPUT)
    op = Op(OpId(0), kind, attrs, tuple(places), results, Source("probe", "main", 0))
    return Model("probe", "probe", "tflite", 0, (Graph("main", tuple(tensors), (op,), given, results),))


def _typed(kind: str, recipe: Recipe, dtype: DType) -> dict[str, Any]:
    """Attributes, with the types that CAST repeats."""
    return {"in_data_type": dtype, "out_data_type": F32} if kind == "CAST" else dict(recipe.attrs)


def _tensor(letter: str, text: str, dtype: DType) -> Tensor:
    if letter in "ip":
        numbers = np.array([int(part) for part in text.split(",") if part], np.int32)
        shape: Shape = (len(numbers) // 2, 2) if letter == "p" else (len(numbers),) if "," in text else ()
        return Tensor(TensorId(0), "", shape, I32, None, Kind.CONSTANT, numbers.tobytes())
    if letter == "n":
        return replace(_plain((), dtype, Kind.CONSTANT), data=np.array(int(text), dtype.label).tobytes())
    shape = tuple(int(part) for part in text.split("x") if part)
    weights, bias = _WITH_WEIGHTS.get(dtype, (dtype, dtype))
    state = I16 if dtype is I8 else dtype
    types = {"x": dtype, "c": dtype, "v": dtype, "w": weights, "b": bias, "I": I32, "B": DType.BOOL, "m": state}
    types |= {"t": state, "s": state}
    kind = Kind.CONSTANT if letter in "cwbt" else Kind.VARIABLE if letter in "vms" else Kind.INPUT
    return _plain(shape, types[letter], kind)


def _plain(shape: Shape, dtype: DType, kind: Kind) -> Tensor:
    count = int(np.prod(shape, dtype=np.int64))
    data = np.ones(count, dtype.label).tobytes() if kind is Kind.CONSTANT else None
    return Tensor(TensorId(0), "", shape, dtype, _QUANTS.get(dtype), kind, data)
