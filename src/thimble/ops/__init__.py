# SPDX-License-Identifier: Apache-2.0
"""One file per operator; this file only lists them. Names are TFLite's."""

from __future__ import annotations

from thimble.ir import Attrs
from thimble.ops.abs import Abs
from thimble.ops.add import Add
from thimble.ops.add_n import AddN
from thimble.ops.arg_max import ArgMax
from thimble.ops.arg_min import ArgMin
from thimble.ops.assign_variable import AssignVariable
from thimble.ops.average_pool_2d import AveragePool2D
from thimble.ops.batch_matmul import BatchMatMul
from thimble.ops.batch_to_space_nd import BatchToSpaceND
from thimble.ops.broadcast_args import BroadcastArgs
from thimble.ops.broadcast_to import BroadcastTo
from thimble.ops.call_once import CallOnce
from thimble.ops.cast import Cast
from thimble.ops.ceil import Ceil
from thimble.ops.concatenation import Concatenation
from thimble.ops.conv_2d import Conv2D
from thimble.ops.cos import Cos
from thimble.ops.cumsum import Cumsum
from thimble.ops.depth_to_space import DepthToSpace
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.dequantize import Dequantize
from thimble.ops.div import Div
from thimble.ops.dynamic_update_slice import DynamicUpdateSlice
from thimble.ops.elu import Elu
from thimble.ops.embedding_lookup import EmbeddingLookup
from thimble.ops.equal import Equal
from thimble.ops.exp import Exp
from thimble.ops.expand_dims import ExpandDims
from thimble.ops.fill import Fill
from thimble.ops.floor import Floor
from thimble.ops.floor_div import FloorDiv
from thimble.ops.floor_mod import FloorMod
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.gather import Gather
from thimble.ops.gather_nd import GatherNd
from thimble.ops.gelu import Gelu
from thimble.ops.greater import Greater
from thimble.ops.greater_equal import GreaterEqual
from thimble.ops.hard_swish import HardSwish
from thimble.ops.if_ import If
from thimble.ops.l2_normalization import L2Normalization
from thimble.ops.l2_pool_2d import L2Pool2D
from thimble.ops.leaky_relu import LeakyRelu
from thimble.ops.less import Less
from thimble.ops.less_equal import LessEqual
from thimble.ops.local_response_normalization import LocalResponseNormalization
from thimble.ops.log import Log
from thimble.ops.log_softmax import LogSoftmax
from thimble.ops.logical_and import LogicalAnd
from thimble.ops.logical_not import LogicalNot
from thimble.ops.logical_or import LogicalOr
from thimble.ops.logistic import Logistic
from thimble.ops.max_pool_2d import MaxPool2D
from thimble.ops.maximum import Maximum
from thimble.ops.mean import Mean
from thimble.ops.minimum import Minimum
from thimble.ops.mirror_pad import MirrorPad
from thimble.ops.mul import Mul
from thimble.ops.neg import Neg
from thimble.ops.not_equal import NotEqual
from thimble.ops.one_hot import OneHot
from thimble.ops.pack import Pack
from thimble.ops.pad import Pad
from thimble.ops.padv2 import PadV2
from thimble.ops.pow import Pow
from thimble.ops.prelu import Prelu
from thimble.ops.quantize import Quantize
from thimble.ops.range import Range
from thimble.ops.rank import Rank
from thimble.ops.read_variable import ReadVariable
from thimble.ops.reduce_all import ReduceAll
from thimble.ops.reduce_any import ReduceAny
from thimble.ops.reduce_max import ReduceMax
from thimble.ops.reduce_min import ReduceMin
from thimble.ops.reduce_prod import ReduceProd
from thimble.ops.relu import Relu
from thimble.ops.relu6 import Relu6
from thimble.ops.relu_n1_to_1 import ReluN1To1
from thimble.ops.reshape import Reshape
from thimble.ops.resize_bilinear import ResizeBilinear
from thimble.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from thimble.ops.reverse_v2 import ReverseV2
from thimble.ops.round import Round
from thimble.ops.rsqrt import Rsqrt
from thimble.ops.select import Select
from thimble.ops.select_v2 import SelectV2
from thimble.ops.shape import ShapeOf
from thimble.ops.sign import Sign
from thimble.ops.sin import Sin
from thimble.ops.slice import Slice
from thimble.ops.softmax import Softmax
from thimble.ops.space_to_batch_nd import SpaceToBatchND
from thimble.ops.space_to_depth import SpaceToDepth
from thimble.ops.sparse_to_dense import SparseToDense
from thimble.ops.split import Split
from thimble.ops.split_v import SplitV
from thimble.ops.sqrt import Sqrt
from thimble.ops.square import Square
from thimble.ops.squared_difference import SquaredDifference
from thimble.ops.squeeze import Squeeze
from thimble.ops.strided_slice import StridedSlice
from thimble.ops.sub import Sub
from thimble.ops.sum import Sum
from thimble.ops.svdf import Svdf
from thimble.ops.tanh import Tanh
from thimble.ops.tile import Tile
from thimble.ops.topk_v2 import TopKV2
from thimble.ops.transpose import Transpose
from thimble.ops.transpose_conv import TransposeConv
from thimble.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLSTM
from thimble.ops.unpack import Unpack
from thimble.ops.var_handle import VarHandle
from thimble.ops.while_ import While
from thimble.ops.zeros_like import ZerosLike

_CLASSES: tuple[type[Attrs], ...] = (
    Abs,
    Add,
    AddN,
    ArgMax,
    ArgMin,
    AssignVariable,
    AveragePool2D,
    BatchMatMul,
    BatchToSpaceND,
    BroadcastArgs,
    BroadcastTo,
    CallOnce,
    Cast,
    Ceil,
    Concatenation,
    Conv2D,
    Cos,
    Cumsum,
    DepthToSpace,
    DepthwiseConv2D,
    Dequantize,
    Div,
    DynamicUpdateSlice,
    Elu,
    EmbeddingLookup,
    Equal,
    Exp,
    ExpandDims,
    Fill,
    Floor,
    FloorDiv,
    FloorMod,
    FullyConnected,
    Gather,
    GatherNd,
    Gelu,
    Greater,
    GreaterEqual,
    HardSwish,
    If,
    L2Normalization,
    L2Pool2D,
    LeakyRelu,
    Less,
    LessEqual,
    LocalResponseNormalization,
    Log,
    LogSoftmax,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    Logistic,
    MaxPool2D,
    Maximum,
    Mean,
    Minimum,
    MirrorPad,
    Mul,
    Neg,
    NotEqual,
    OneHot,
    Pack,
    Pad,
    PadV2,
    Pow,
    Prelu,
    Quantize,
    Range,
    Rank,
    ReadVariable,
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    Relu,
    Relu6,
    ReluN1To1,
    Reshape,
    ResizeBilinear,
    ResizeNearestNeighbor,
    ReverseV2,
    Round,
    Rsqrt,
    Select,
    SelectV2,
    ShapeOf,
    Sign,
    Sin,
    Slice,
    Softmax,
    SpaceToBatchND,
    SpaceToDepth,
    SparseToDense,
    Split,
    SplitV,
    Sqrt,
    Square,
    SquaredDifference,
    Squeeze,
    StridedSlice,
    Sub,
    Sum,
    Svdf,
    Tanh,
    Tile,
    TopKV2,
    Transpose,
    TransposeConv,
    UnidirectionalSequenceLSTM,
    Unpack,
    VarHandle,
    While,
    ZerosLike,
)

OPERATORS: dict[str, type[Attrs]] = {cls.OP: cls for cls in _CLASSES}
"""Attribute class of every operator that Thimble knows, by TFLite name."""
