# SPDX-License-Identifier: Apache-2.0
"""TFLM's non-persistent memory: which buffers it plans for, and where its greedy planner puts them.

Time is TFLM's allocation scope: one step per operator, plus one per subgraph that a control-flow operator
enters. `first` and `last` are inclusive, as TFLM counts; -1 for both is a tensor that no operator touches,
which TFLM nevertheless plans for.

Source: TFLM at 90b983c, `micro_allocation_info.cc`, `micro_allocator.cc` (CreatePlan) and
`memory_planner/greedy_memory_planner.cc` in `tensorflow/lite/micro/`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from thimble import _core
from thimble.errors import ModelError
from thimble.ir import Graph, Kind, Model, Op, OpId, Tensor, TensorId
from thimble.memory import OFFLINE_PLAN, ONLINE
from thimble.tflm.structs import align_up

ALIGNMENT = 16  # MicroArenaBufferAlignment()
_LARGEST_SCOPE = 10_000_000  # graphs that call each other twice could be walked for ever


class Scratch(NamedTuple):
    """A scratch buffer that a kernel requests: its operator, and bytes before alignment."""

    graph: int
    op: OpId
    size: int


@dataclass(frozen=True, slots=True)
class Request:
    """A buffer to be planned: aligned bytes, inclusive lifetime, offset that the model prescribes or ONLINE."""

    size: int
    first: int
    last: int
    offline: int = ONLINE
    what: str = ""
    graph: int = 0
    tensor: TensorId | None = None
    op: OpId | None = None


def greedy(requests: Sequence[Request]) -> tuple[tuple[int, ...], int]:
    """Offsets that TFLM's GreedyMemoryPlanner gives, and the height of its plan.

    Prescribed offsets are taken first, in order. Then the largest buffer goes first; of equal ones the last
    in `requests`. Each takes the first gap between the placed buffers that live when it does (core/greedy.h).
    """
    columns = zip(*((r.size, r.first, r.last, r.offline) for r in requests), strict=True)
    sizes, first, last, offline = (list(column) for column in columns) if requests else ([], [], [], [])
    offsets = tuple(_core.tflm_greedy(sizes, first, last, offline))
    return offsets, max((o + r.size for o, r in zip(offsets, requests, strict=True)), default=0)


def load(requests: Sequence[Request]) -> int:
    """Largest sum of buffers that live together: no plan of these lifetimes is lower."""
    change: dict[int, int] = {}
    for request in requests:
        change[request.first] = change.get(request.first, 0) + request.size
        change[request.last + 1] = change.get(request.last + 1, 0) - request.size
    live = largest = 0
    for _, difference in sorted(change.items()):
        live += difference
        largest = max(largest, live)
    return largest


def requests(model: Model, order: Sequence[OpId] | None = None, scratch: Sequence[Scratch] = ()) -> tuple[Request, ...]:
    """The buffers that TFLM plans for, in the order in which it adds them: tensors, then scratch buffers.

    Args:
        model: all its graphs share one plan; control-flow operators enter theirs.
        order: another order of the main graph's operators.
        scratch: what the kernels request, in the order of preparation.

    Raises:
        ModelError: the model's own offline plan does not have one entry per tensor.
    """
    spans = _Lifetimes(model, order).spans
    fixed = offline_offsets(model)
    found: list[Request] = []
    base = 0
    for index, graph in enumerate(model.graphs):
        handles = _handles(graph)
        for tensor in graph.tensors:
            offset = ONLINE if fixed is None else fixed[base + tensor.id]
            if tensor.id not in handles and _planned(tensor, offset):
                first, last = spans.get((index, tensor.id), (-1, -1))
                size = align_up(tensor_bytes(tensor), ALIGNMENT)
                found.append(Request(size, first, last, offset, tensor.name, index, tensor.id))
        base += len(graph.tensors)
    return tuple(found) + tuple(_scratch_request(model, spans, s) for s in scratch)


def _scratch_request(model: Model, spans: dict[tuple[int, int], tuple[int, int]], scratch: Scratch) -> Request:
    op = model.graphs[scratch.graph].ops[scratch.op]
    first, last = spans.get((scratch.graph, ~scratch.op), (-1, -1))
    size = align_up(scratch.size, ALIGNMENT)
    return Request(size, first, last, what=f"scratch of {op.kind} '{op.name}'", graph=scratch.graph, op=op.id)


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes as TFLM counts them: an element of less than a byte takes a whole one."""
    return tensor.elements * ((tensor.dtype.bits + 7) // 8)


def _handles(graph: Graph) -> set[TensorId]:
    """Outputs of VAR_HANDLE: the kernel points them at its own data, so they are never planned."""
    return {t for op in graph.ops if op.kind == "VAR_HANDLE" for t in op.outputs}


def _planned(tensor: Tensor, offset: int) -> bool:
    if tensor.kind is Kind.VARIABLE:
        return offset != ONLINE
    return tensor.kind is not Kind.CONSTANT and tensor_bytes(tensor) != 0


def offline_offsets(model: Model) -> tuple[int, ...] | None:
    """Offsets of the model's `OfflineMemoryAllocation` metadata, one per tensor of all graphs, or None.

    The buffer holds 32-bit words: a version, a graph index (TFLM ignores both), the count, the offsets.

    Raises:
        ModelError: the count is not the number of tensors, which TFLM refuses, or the buffer is too short.
    """
    plans = [data for name, data in model.metadata if name == OFFLINE_PLAN]
    if not plans:
        return None
    count = sum(len(graph.tensors) for graph in model.graphs)
    stored = struct.unpack_from("<I", plans[-1], 8)[0] if len(plans[-1]) >= 12 else 0
    if stored != count or len(plans[-1]) < 12 + 4 * count:
        raise ModelError(
            f"{model.file}: its {OFFLINE_PLAN} metadata holds {stored} offsets, the model has {count} tensors; "
            "TFLM refuses such a file. Remove the metadata or write it again."
        )
    offsets = struct.unpack_from(f"<{count}i", plans[-1], 12)
    if min(offsets, default=0) < ONLINE:
        raise ModelError(
            f"{model.file}: its {OFFLINE_PLAN} metadata has an offset of {min(offsets)}, outside any arena."
        )
    return offsets


class _Lifetimes:
    """Walks the graphs as TFLM's AllocationInfoBuilder does, with its running count of scopes.

    `spans` maps (graph, tensor id) and, for an operator's scratch buffers, (graph, ~op id) to (first, last).
    """

    def __init__(self, model: Model, order: Sequence[OpId] | None) -> None:
        self.model = model
        self.scope = 0
        self.spans: dict[tuple[int, int], tuple[int, int]] = {}
        main = model.main.ops if order is None else tuple(model.main.ops[i] for i in order)
        self._graph(0, main, ())

    def _touch(self, graph: int, key: int, *, create: bool) -> None:
        first, _ = self.spans.get((graph, key), (-1, -1))
        self.spans[graph, key] = (self.scope if create and first == -1 else first, self.scope)

    def _graph(self, index: int, ops: Sequence[Op], callers: tuple[int, ...]) -> None:
        graph = self.model.graphs[index]
        if self.scope > _LARGEST_SCOPE:
            raise ModelError(f"{self.model.file}: its graphs run each other more than {_LARGEST_SCOPE:,} times.")
        for tensor in graph.inputs:
            self._touch(index, tensor, create=True)
        for op in ops:
            self.scope += 1
            self._op(index, op, (*callers, index))
        for tensor in graph.outputs:
            self._touch(index, tensor, create=True)

    def _op(self, index: int, op: Op, callers: tuple[int, ...]) -> None:
        for tensor in op.outputs:
            self._create(index, tensor)
        entered = self.scope
        for called in op.attrs.subgraphs():
            if called in callers:
                raise ModelError(f"{op.label}: graph {called} runs itself; TFLM has no recursion.")
            self.scope += 1
            self._graph(called, self.model.graphs[called].ops, callers)
        for operand in (*op.inputs, *op.outputs):
            if operand is not None:
                self._touch(index, operand, create=False)
        self.spans.setdefault((index, ~op.id), (entered, self.scope))
        self.spans[index, ~op.id] = (self.spans[index, ~op.id][0], self.scope)

    def _create(self, graph: int, tensor: TensorId) -> None:
        first, last = self.spans.get((graph, tensor), (-1, -1))
        self.spans[graph, tensor] = (self.scope if first == -1 else first, last)


def has_plan(model: Model) -> bool:
    """Whether the file brings a memory plan of its own."""
    return any(name == OFFLINE_PLAN for name, _ in model.metadata)


def without_offline_plan(model: Model) -> Model:
    """The model without the offline plan of its metadata; the same object where it has none."""
    kept = tuple(entry for entry in model.metadata if entry[0] != OFFLINE_PLAN)
    return model if len(kept) == len(model.metadata) else replace(model, metadata=kept)
