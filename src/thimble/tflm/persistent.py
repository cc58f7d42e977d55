# SPDX-License-Identifier: Apache-2.0
"""TFLM's persistent memory: what it stacks downwards from the end of the arena, in its order.

    arena:  | head: planned buffers ->        free        <- tail: persistent, this file |

Every block starts at a multiple of its alignment, so the order decides how many bytes are lost between
blocks. The arena's end is taken as a multiple of 16.

Source: TFLM at 90b983c, `tensorflow/lite/micro/`: micro_allocator.cc, micro_interpreter.cc,
micro_interpreter_graph.cc, micro_resource_variable.cc, recording_micro_allocator.cc; which operator has
which parameters: `tensorflow/lite/core/api/flatbuffer_conversions.cc`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from thimble.ir import Graph, Kind, Model, Op, Opaque, Tensor, TensorId
from thimble.target import Target
from thimble.tflm.kernels import Use, channels, dims_bytes
from thimble.tflm.planner import ALIGNMENT, ONLINE, offline_offsets, tensor_bytes
from thimble.tflm.structs import align_up, struct_layout, struct_size

# Categories; the first six are what RecordingMicroAllocator prints.
EVAL_TENSORS = "TfLiteEvalTensor data"
TENSORS = "Persistent TfLiteTensor data"
QUANTIZATION = "Persistent TfLiteTensor quantization data"
BUFFERS = "Persistent buffer data"
VARIABLES = "TfLiteTensor variable buffer data"
NODES = "NodeAndRegistration struct"
ALLOCATORS = "Allocator and planner objects"
SUBGRAPHS = "Subgraph allocations"
PARAMETERS = "Builtin operator parameters"
HANDLES = "Scratch buffer handles"

# Operators whose parameters TFLM parses into a struct; the others have none.
_PARAMETERS = {
    "ADD": "TfLiteAddParams",
    "ARG_MAX": "TfLiteArgMaxParams",
    "ARG_MIN": "TfLiteArgMaxParams",
    "AVERAGE_POOL_2D": "TfLitePoolParams",
    "BATCH_MATMUL": "TfLiteBatchMatMulParams",
    "CALL_ONCE": "TfLiteCallOnceParams",
    "CAST": "TfLiteCastParams",
    "CONCATENATION": "TfLiteConcatenationParams",
    "CONV_2D": "TfLiteConvParams",
    "CUMSUM": "TfLiteCumsumParams",
    "DEPTHWISE_CONV_2D": "TfLiteDepthwiseConvParams",
    "DEPTH_TO_SPACE": "TfLiteDepthToSpaceParams",
    "DIV": "TfLiteDivParams",
    "FULLY_CONNECTED": "TfLiteFullyConnectedParams",
    "GATHER": "TfLiteGatherParams",
    "IF": "TfLiteIfParams",
    "L2_NORMALIZATION": "TfLiteL2NormParams",
    "L2_POOL_2D": "TfLitePoolParams",
    "LEAKY_RELU": "TfLiteLeakyReluParams",
    "MAX_POOL_2D": "TfLitePoolParams",
    "MEAN": "TfLiteReducerParams",
    "MIRROR_PAD": "TfLiteMirrorPaddingParams",
    "MUL": "TfLiteMulParams",
    "PACK": "TfLitePackParams",
    "REDUCE_ALL": "TfLiteReducerParams",
    "REDUCE_MAX": "TfLiteReducerParams",
    "REDUCE_MIN": "TfLiteReducerParams",
    "RESHAPE": "TfLiteReshapeParams",
    "RESIZE_BILINEAR": "TfLiteResizeBilinearParams",
    "RESIZE_NEAREST_NEIGHBOR": "TfLiteResizeNearestNeighborParams",
    "SHAPE": "TfLiteShapeParams",
    "SOFTMAX": "TfLiteSoftmaxParams",
    "SPACE_TO_DEPTH": "TfLiteSpaceToDepthParams",
    "SPLIT": "TfLiteSplitParams",
    "SPLIT_V": "TfLiteSplitVParams",
    "SQUEEZE": "TfLiteSqueezeParams",
    "STRIDED_SLICE": "TfLiteStridedSliceParams",
    "SUB": "TfLiteSubParams",
    "SUM": "TfLiteReducerParams",
    "SVDF": "TfLiteSVDFParams",
    "TRANSPOSE_CONV": "TfLiteTransposeConvParams",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "TfLiteUnidirectionalSequenceLSTMParams",
    "UNPACK": "TfLiteUnpackParams",
    "VAR_HANDLE": "TfLiteVarHandleParams",
    "WHILE": "TfLiteWhileParams",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One allocation: category, bytes, alignment."""

    category: str
    size: int
    alignment: int = ALIGNMENT


def stack(blocks: Iterator[Block]) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Bytes from the arena's end down to the last block, and the share of each category, padding included."""
    used = 0
    shares: dict[str, int] = {}
    for block in blocks:
        below = align_up(used + block.size, block.alignment)
        shares[block.category] = shares.get(block.category, 0) + below - used
        used = below
    return used, tuple(shares.items())


def blocks(model: Model, target: Target, uses: Mapping[tuple[int, int], Use], *, recording: bool) -> Iterator[Block]:
    """All persistent allocations of AllocateTensors, in order.

    Args:
        model: the model, all its graphs.
        target: processor and build.
        uses: what each kernel requests, by (graph, operator).
        recording: with RecordingMicroAllocator, whose objects are larger.
    """
    yield from _objects(model, target, recording=recording)
    yield from _graph_tables(model, target)
    yield from _parameters(model, target)
    for use in uses.values():
        yield from (Block(BUFFERS, size) for size in use.init)
    yield from _prepare(model, uses)
    if count := sum(len(use.scratch) for use in uses.values()):
        yield _struct(HANDLES, "ScratchBufferHandle", target, count)
    yield from _variables(model)
    for tensors in (model.main.inputs, model.main.outputs):
        yield Block(BUFFERS, target.pointer_bytes * len(tensors))
        for index in tensors:
            yield from _interface_tensor(model.main.tensors[index], target)


def _struct(category: str, name: str, target: Target, count: int = 1) -> Block:
    size, alignment = struct_layout(name, target)
    return Block(category, size * count, alignment)


def _objects(model: Model, target: Target, *, recording: bool) -> Iterator[Block]:
    """Allocator, planner and, where the model has any, resource variables."""
    prefix = "Recording" if recording else ""
    for name in (f"{prefix}SingleArenaBufferAllocator", "GreedyMemoryPlanner", f"{prefix}MicroAllocator"):
        yield _struct(ALLOCATORS, name, target)
    if count := len({_shared_name(op) for graph in model.graphs for op in graph.ops if op.kind == "VAR_HANDLE"}):
        yield Block(BUFFERS, struct_size("MicroResourceVariables", target))
        yield Block(BUFFERS, struct_size("MicroResourceVariable", target) * count)


def _shared_name(op: Op) -> str:
    return "" if isinstance(op.attrs, Opaque) else str(getattr(op.attrs, "shared_name", ""))


def _graph_tables(model: Model, target: Target) -> Iterator[Block]:
    yield _struct(ALLOCATORS, "MicroBuiltinDataAllocator", target)
    yield _struct(SUBGRAPHS, "SubgraphAllocations", target, len(model.graphs))
    for graph in model.graphs:
        yield _struct(EVAL_TENSORS, "TfLiteEvalTensor", target, len(graph.tensors))
    for graph in model.graphs:
        yield _struct(NODES, "NodeAndRegistration", target, len(graph.ops))


def _parameters(model: Model, target: Target) -> Iterator[Block]:
    for graph in model.graphs:
        for op in graph.ops:
            if name := _PARAMETERS.get(op.kind):
                yield _struct(PARAMETERS, name, target)


def _prepare(model: Model, uses: Mapping[tuple[int, int], Use]) -> Iterator[Block]:
    """What kernels allocate in Prepare; the first ASSIGN_VARIABLE of a variable allocates its value."""
    assigned: set[str] = set()
    for index, graph in enumerate(model.graphs):
        names = {t: _shared_name(op) for op in graph.ops if op.kind == "VAR_HANDLE" for t in op.outputs}
        for op in graph.ops:
            for name, value in _assigned(graph, op, names):
                if name not in assigned:
                    assigned.add(name)
                    yield Block(BUFFERS, tensor_bytes(value))
            yield from (Block(BUFFERS, size) for size in uses[index, op.id].prepare)


def _assigned(graph: Graph, op: Op, names: Mapping[TensorId, str]) -> Iterator[tuple[str, Tensor]]:
    """The variable that ASSIGN_VARIABLE writes and its value, where the handle is of this very graph."""
    if op.kind != "ASSIGN_VARIABLE" or len(op.inputs) < 2:
        return
    handle, value = op.inputs[:2]
    if handle is not None and handle in names and value is not None:
        yield names[handle], graph.tensors[value]


def _variables(model: Model) -> Iterator[Block]:
    """Variable tensors without a place in the offline plan; TFLM indexes that plan from 0 in each graph."""
    fixed = offline_offsets(model)
    for graph in model.graphs:
        for tensor in graph.tensors:
            if tensor.kind is Kind.VARIABLE and (fixed is None or fixed[tensor.id] == ONLINE):
                yield Block(VARIABLES, tensor_bytes(tensor))


def _interface_tensor(tensor: Tensor, target: Target) -> Iterator[Block]:
    """The TfLiteTensor that stands for an input or output, with its quantization."""
    yield _struct(TENSORS, "TfLiteTensor", target)
    if count := channels(tensor.quant):
        yield _struct(QUANTIZATION, "TfLiteAffineQuantization", target)
        yield Block(QUANTIZATION, dims_bytes(count, target), min(target.int_bytes, target.alignment))
