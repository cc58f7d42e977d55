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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from thimble.ir import Graph, Kind, Model, Op, Opaque, Tensor, TensorId
from thimble.memory import ONLINE
from thimble.target import Target
from thimble.tflm.kernels import Use, channels, dims_bytes
from thimble.tflm.planner import ALIGNMENT, offline_offsets, tensor_bytes
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

_SCRATCH_PER_OPERATOR = 12  # kMaxScratchBuffersPerOp, kept free for the next operator

# Kernels whose Prepare copies each operand's TfLiteTensor once; others may do so twice.
_OPERANDS_ONCE = frozenset(("FULLY_CONNECTED", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"))

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


@dataclass(frozen=True, slots=True)
class Tail:
    """The tail after AllocateTensors, and what it takes on the way there; bytes.

    `before_plan` is its size when the head is planned. `preparing` is the most that any operator's Prepare
    takes of the whole arena, from above: TFLM's temporary copies of its operands are counted twice each,
    because many kernels ask for them twice.
    """

    total: int
    by_category: tuple[tuple[str, int], ...]
    before_plan: int
    preparing: int


def tail(model: Model, target: Target, uses: Mapping[tuple[int, int], Use], *, recording: bool) -> Tail:
    """Everything that AllocateTensors puts into the tail, in its order.

    Args:
        model: the model, all its graphs.
        target: processor and build.
        uses: what each kernel requests, by (graph, operator) in the order of preparation.
        recording: with RecordingMicroAllocator, whose objects are larger.
    """
    shares: dict[str, int] = {}
    used = _stack(0, _setup_blocks(model, target, uses, recording=recording), shares)
    preparing = scratch = 0
    for graph, op, found in _prepare_steps(model, uses):
        used = _stack(used, found, shares)
        scratch += len(uses[graph, op.id].scratch)
        temporary = _temporary_bytes(model.graphs[graph], op, target)
        preparing = max(preparing, used + _requests_bytes(scratch, target) + temporary)
    used = before_plan = _stack(used, _late_blocks(model, target, scratch), shares)
    used = _stack(used, _interface_blocks(model, target), shares)
    return Tail(used, tuple(shares.items()), before_plan, preparing)


def _stack(used: int, blocks: Iterable[Block], shares: dict[str, int]) -> int:
    """Stack blocks on the `used` bytes; the new height. Adds each block with its padding to its category."""
    for block in blocks:
        below = align_up(used + block.size, block.alignment)
        shares[block.category] = shares.get(block.category, 0) + below - used
        used = below
    return used


def _setup_blocks(
    model: Model, target: Target, uses: Mapping[tuple[int, int], Use], *, recording: bool
) -> Iterator[Block]:
    """Before any operator is prepared."""
    yield from _objects(model, target, recording=recording)
    yield from _graph_tables(model, target)
    yield from _parameters(model, target)
    for use in uses.values():
        yield from (Block(BUFFERS, size) for size in use.init)


def _late_blocks(model: Model, target: Target, scratch: int) -> Iterator[Block]:
    """Between preparing the last operator and planning the head."""
    if scratch:
        yield _struct(HANDLES, "ScratchBufferHandle", target, scratch)
    yield from _variables(model)


def _interface_blocks(model: Model, target: Target) -> Iterator[Block]:
    """After planning: what stands for the model's inputs and outputs."""
    for tensors in (model.main.inputs, model.main.outputs):
        yield Block(BUFFERS, target.pointer_bytes * len(tensors))
        for index in tensors:
            yield from _interface_tensor(model.main.tensors[index], target)


def _requests_bytes(scratch: int, target: Target) -> int:
    return struct_size("ScratchBufferRequest", target) * (scratch + _SCRATCH_PER_OPERATOR)


def _temporary_bytes(graph: Graph, op: Op, target: Target) -> int:
    operands = [t for t in (*graph.operands(op), *graph.results(op)) if t is not None]
    blocks = (block for tensor in operands for block in _interface_tensor(tensor, target))
    times = 1 if op.kind in _OPERANDS_ONCE else 2
    return times * sum(align_up(block.size, target.pointer_bytes) for block in blocks)


def planning_bytes(model: Model, target: Target, scratch: int, planned: int) -> int:
    """What planning itself needs in the head: requests, lifetimes and the planner's tables.

    With few activations this is more than the plan's height: then an arena of `arena_used_bytes()` is too small.

    Args:
        model: the model, all its graphs.
        target: processor and build.
        scratch: number of scratch buffers.
        planned: number of buffers that the planner places.
    """
    requests = _requests_bytes(scratch, target)
    infos = sum(len(graph.tensors) for graph in model.graphs) + scratch
    size, alignment = struct_layout("AllocationInfo", target)
    offsets = align_up(requests, min(target.pointer_bytes, target.alignment)) + target.pointer_bytes * len(model.graphs)
    lifetimes = align_up(offsets, alignment) + size * infos
    return align_up(lifetimes, ALIGNMENT) + struct_size("PlannerEntry", target) * planned


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


def _prepare_steps(model: Model, uses: Mapping[tuple[int, int], Use]) -> Iterator[tuple[int, Op, tuple[Block, ...]]]:
    """What each kernel allocates in Prepare; the first ASSIGN_VARIABLE of a variable allocates its value."""
    assigned: set[str] = set()
    names = [
        {t: _shared_name(op) for op in graph.ops if op.kind == "VAR_HANDLE" for t in op.outputs}
        for graph in model.graphs
    ]
    for index, number in uses:
        graph, op = model.graphs[index], model.graphs[index].ops[number]
        new = [(name, value) for name, value in _assigned(graph, op, names[index]) if name not in assigned]
        assigned.update(name for name, _ in new)
        sizes = (*(tensor_bytes(value) for _, value in new), *uses[index, number].prepare)
        yield index, op, tuple(Block(BUFFERS, size) for size in sizes)


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
