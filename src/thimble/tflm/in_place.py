# SPDX-License-Identifier: Apache-2.0
"""Rung 3 for stock TFLM: which operators' kernels bear a result at its operand's offset, and what that allows.

TFLM promises none of this. It follows from how its kernels work, each of which was read: a kernel listed here reads
element i of its operands before it writes element i of its result, and reads neither that nor an earlier one again.

Source: TFLM at 90b983c and CMSIS-NN at 4ab83cc; the files are named per operator in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from thimble.ir import Graph, Kind, Op, OpId, Tensor, TensorId
from thimble.tflm.planner import ALIGNMENT, tensor_bytes
from thimble.tflm.structs import align_up

_MICRO = "tensorflow/lite/micro/kernels/"
_REFERENCE = "tensorflow/lite/kernels/internal/reference/"

SOURCES: Mapping[str, tuple[str, ...]] = {
    "ADD": (
        f"{_REFERENCE}add.h",
        f"{_REFERENCE}integer_ops/add.h",
        f"{_MICRO}cmsis_nn/add.cc",
        "CMSIS-NN: arm_elementwise_add_s8.c, arm_elementwise_add_s16.c",
    ),
    "SUB": (f"{_MICRO}sub.cc", f"{_REFERENCE}sub.h"),
    "MUL": (
        f"{_REFERENCE}mul.h",
        f"{_REFERENCE}integer_ops/mul.h",
        f"{_MICRO}cmsis_nn/mul.cc",
        "CMSIS-NN: arm_elementwise_mul_s8.c, arm_elementwise_mul_s16.c",
    ),
    "RELU": (f"{_MICRO}activations.cc", f"{_MICRO}activations_common.cc", f"{_MICRO}activations.h"),
    "RELU6": (f"{_MICRO}activations.cc", f"{_MICRO}activations_common.cc", f"{_MICRO}activations.h"),
    "LOGISTIC": (f"{_MICRO}logistic.cc", f"{_REFERENCE}logistic.h", f"{_REFERENCE}integer_ops/logistic.h"),
    "TANH": (f"{_MICRO}tanh.cc", f"{_REFERENCE}tanh.h", f"{_REFERENCE}integer_ops/tanh.h"),
    "HARD_SWISH": (f"{_MICRO}hard_swish.cc", f"{_REFERENCE}hard_swish.h"),
    "LEAKY_RELU": (f"{_MICRO}leaky_relu.cc", f"{_REFERENCE}leaky_relu.h"),
    "QUANTIZE": (f"{_MICRO}quantize_common.cc", f"{_REFERENCE}requantize.h"),
    "RESHAPE": (f"{_MICRO}reshape.cc",),
    "SQUEEZE": (f"{_MICRO}squeeze.cc",),  # memcpy with equal addresses: undefined in C, right with every known library
    "EXPAND_DIMS": (f"{_MICRO}expand_dims.cc",),
}
"""Operators with in-place-safe kernels, and where that was read; without a CMSIS-NN file they have no such variant."""

_TWO_OPERANDS = ("ADD", "SUB", "MUL")
_VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")

_READ_AGAIN = "reads operands several times, also after it has written results"
_MOVES = "writes results in another order or at other places than it reads operands"
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"), _READ_AGAIN),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "SVDF"), _READ_AGAIN),
    **dict.fromkeys(("UNIDIRECTIONAL_SEQUENCE_LSTM", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _READ_AGAIN),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN", "CUMSUM"), _READ_AGAIN),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD", "TRANSPOSE", "CONCATENATION", "PACK"), _MOVES),
    **dict.fromkeys(
        ("SPLIT", "SPLIT_V", "UNPACK", "SLICE", "STRIDED_SLICE", "GATHER", "GATHER_ND", "REVERSE_V2"), _MOVES
    ),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), _MOVES),
    "SOFTMAX": "reads a row several times; its kernels are not all proven to be done with it when they write",
    "DEQUANTIZE": "writes elements that are longer than those it reads",
}
_UNREAD = "its kernels are not on the list of those that were read and found safe"


@dataclass(frozen=True, slots=True)
class Shared:
    """An operator of the main graph whose result lies at its operand's offset."""

    op: OpId
    kind: str
    name: str
    operand: TensorId
    result: TensorId


@dataclass(frozen=True, slots=True)
class Refusal:
    """An operator of the main graph whose result could have taken an operand's bytes, and why it does not."""

    op: OpId
    kind: str
    name: str
    reason: str


def sharings(graph: Graph, order: Sequence[OpId], *, keep_inputs: bool = False) -> tuple[tuple[Shared, ...], ...]:
    """The in-place operators of an order, in that order.

    Where two operands die at once, the result can take either's place: one answer takes the first throughout, the
    other the last. Empty where no operator can run in place.
    """
    uses = _last_uses(graph, order, keep_inputs)
    found = []
    for which in (0, -1):
        shared = []
        for step, index in enumerate(order):
            op = graph.ops[index]
            dying = [t for t in _fitting(graph, op) if uses[t.id] == step]
            if dying:
                shared.append(Shared(op.id, op.kind, op.name, dying[which].id, op.outputs[0]))
        found.append(tuple(shared))
    return tuple(dict.fromkeys(shared for shared in found if shared))


def refusals(graph: Graph, order: Sequence[OpId], *, keep_inputs: bool = False) -> tuple[Refusal, ...]:
    """Operators that would need less memory if their kernels or the graph let their result take an operand's place."""
    uses = _last_uses(graph, order, keep_inputs)
    found = []
    for step, index in enumerate(order):
        op = graph.ops[index]
        reason = _reason(graph, op, step, uses)
        if reason is not None:
            found.append(Refusal(op.id, op.kind, op.name, reason))
    return tuple(found)


def least_bytes(graph: Graph, scratch: Mapping[OpId, int], apart: int) -> int:
    """What no arena is below, in any order, when operators run in place.

    That is what an operator needs at once, less a result that may share; and, as a step has one result that may
    share, the bound for results that lie apart less the largest of those.

    Args:
        graph: the main graph.
        scratch: bytes that operators need only while they run.
        apart: the lower bound without sharing.
    """
    most = 0
    bounds = [_bytes(graph.tensors[t] for t in ends) for ends in (graph.given, graph.outputs)]
    for op in graph.ops:
        touched = _bytes(t for t in (*graph.operands(op), *graph.results(op)) if t is not None)
        saved = _bytes(graph.results(op)) if _fitting(graph, op) else 0
        bounds.append(touched - saved + scratch.get(op.id, 0))
        most = max(most, saved)
    return min(apart, max(*bounds, apart - most))


def _fitting(graph: Graph, op: Op) -> list[Tensor]:
    """The operands whose place the operator's kernels could give to the result, were they to die there."""
    if op.kind not in SOURCES or len(op.outputs) != 1 or not graph.results(op)[0].in_arena:
        return []
    (result,) = graph.results(op)
    operands = graph.operands(op)[: 2 if op.kind in _TWO_OPERANDS else 1]
    return [t for t in operands if t is not None and _alike(op.kind, t, result)]


def _alike(kind: str, operand: Tensor, result: Tensor) -> bool:
    shapes = operand.elements == result.elements if kind in _VIEWS else operand.shape == result.shape
    types = operand.dtype.bits == result.dtype.bits if kind == "QUANTIZE" else operand.dtype is result.dtype
    return shapes and types and operand.in_arena and operand.kind is not Kind.SCRATCH


def _last_uses(graph: Graph, order: Sequence[OpId], keep_inputs: bool) -> dict[TensorId, int]:
    """The last step that reads each tensor; one after the last step for what must be there in the end."""
    uses = {t: step for step, index in enumerate(order) for t in graph.ops[index].inputs if t is not None}
    kept = (*graph.outputs, *(graph.inputs if keep_inputs else ()))
    return uses | dict.fromkeys(kept, len(order))


def _reason(graph: Graph, op: Op, step: int, uses: Mapping[TensorId, int]) -> str | None:
    """Why an operator with an operand that would do does not run in place; None if there is no such operand."""
    fitting = _fitting(graph, op)
    if any(uses[t.id] == step for t in fitting):
        return None
    if fitting:
        return "its operand is needed later, or has to be kept"
    room = sum(t.nbytes for t in graph.results(op) if t.in_arena)
    operands = [t for t in graph.operands(op) if t is not None and t.in_arena and t.kind is not Kind.SCRATCH]
    if not room or not any(t.nbytes >= room and uses[t.id] == step for t in operands):
        return None
    if op.kind in SOURCES:
        return "no operand has the result's shape and size of elements"
    return _REASONS.get(op.kind, _UNREAD)


def _bytes(tensors: Iterator[Tensor] | Sequence[Tensor]) -> int:
    """Of different tensors in the arena, each rounded up as TFLM does."""
    return sum({t.id: align_up(tensor_bytes(t), ALIGNMENT) for t in tensors if t.in_arena}.values())
