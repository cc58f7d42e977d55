# SPDX-License-Identifier: Apache-2.0
"""Graph and schedule to Program: operators become kernel calls, and their tensors get their places.

Graph ─lowered→ kernel calls per operator ─arena_problem→ Problem ─pack→ Solution ─assembled→ Program
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Graph, Kind, OpId, Tensor, TensorId
from thimble.kernel import Flavour, KernelCall, Site, View
from thimble.lifetime import lifetimes
from thimble.memory import Buffer, BufferId, Interval, Problem, Schedule, Solution
from thimble.program import FLASH, Access, ArenaBlock, Program, Step

ALIGNMENT = 4
"""Least alignment of a tensor, so that kernels may read words; wider elements are aligned to their size."""
SCRATCH_ALIGNMENT = 8

Calls = tuple[tuple[OpId, KernelCall], ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """Whose bytes a buffer of the packing problem is: a tensor's, or the work space of a step."""

    tensor: TensorId | None
    step: int | None = None


def lowered(graph: Graph, schedule: Schedule, flavour: Flavour) -> Calls:
    """The kernel calls of all operators in the order of the schedule.

    Raises:
        UnsupportedOperatorError: names every operator that cannot be compiled, once per kind.
    """
    calls: list[tuple[OpId, KernelCall]] = []
    refused: dict[str, str] = {}
    for index in schedule.order:
        op = graph.ops[index]
        site = Site(op.label, graph.operands(op), graph.results(op), flavour)
        try:
            calls += [(index, call) for call in op.attrs.lower(site)]
        except UnsupportedOperatorError as error:
            refused.setdefault(op.kind, str(error))
    if refused:
        raise UnsupportedOperatorError("; ".join(refused.values()))
    return tuple(calls)


def arena_problem(
    graph: Graph, schedule: Schedule, calls: Calls, *, keep_inputs: bool = False
) -> tuple[Problem, tuple[Slot, ...]]:
    """The packing problem of one arena, and whose each of its buffers is. Time is counted in operators."""
    at = {op: step for step, op in enumerate(schedule.order)}
    steps = max(1, len(schedule.order))
    slots: list[Slot] = []
    buffers: list[Buffer] = []

    def add(slot: Slot, size: int, life: Interval, alignment: int) -> None:
        slots.append(slot)
        buffers.append(Buffer(BufferId(len(buffers)), size, life, alignment))

    for tensor, life in lifetimes(graph, schedule, keep_inputs=keep_inputs).items():
        add(Slot(tensor), graph.tensors[tensor].nbytes, life, alignment_of(graph.tensors[tensor]))
    for variable in variables_of(graph):
        add(Slot(variable.id), variable.nbytes, Interval(0, steps), alignment_of(variable))
    for step, (op, call) in enumerate(calls):
        if call.scratch:
            add(Slot(None, step), call.scratch, Interval(at[op], at[op] + 1), SCRATCH_ALIGNMENT)
    return Problem(tuple(buffers)), tuple(slots)


def variables_of(graph: Graph) -> tuple[Tensor, ...]:
    """Tensors that keep their values between inferences."""
    return tuple(t for t in graph.tensors if t.kind is Kind.VARIABLE and t.nbytes > 0)


def alignment_of(tensor: Tensor) -> int:
    """Where a tensor may start: at multiples of this many bytes."""
    return max(ALIGNMENT, min(tensor.dtype.bits // 8, SCRATCH_ALIGNMENT))


def assembled(
    name: str, graph: Graph, schedule: Schedule, calls: Calls, slots: tuple[Slot, ...], solution: Solution
) -> Program:
    """The program of one arena from calls and offsets."""
    offsets = dict(zip(slots, solution.offsets, strict=True))
    places = {slot.tensor: (0, offset) for slot, offset in offsets.items() if slot.tensor is not None}

    def access(view: View) -> Access:
        arena, offset = places.get(view.tensor.id, (FLASH, 0))
        return Access(view, arena, offset)

    steps = []
    for index, (op, call) in enumerate(calls):
        scratch = (0, offsets[Slot(None, index)]) if call.scratch else None
        reads, writes = tuple(map(access, call.reads)), tuple(map(access, call.writes))
        steps.append(Step(op, call, reads, writes, scratch))
    alignment = max((alignment_of(t) for t in graph.tensors), default=ALIGNMENT)
    if any(call.scratch for _, call in calls):
        alignment = max(alignment, SCRATCH_ALIGNMENT)
    return Program(
        name=name,
        graph=graph,
        schedule=schedule,
        arenas=(ArenaBlock("arena", solution.height, alignment),),
        steps=tuple(steps),
        places=tuple(places.items()),
        variables=tuple((t.id, initial_bytes(t)) for t in variables_of(graph)),
    )


def initial_bytes(tensor: Tensor) -> bytes:
    """What a variable holds before the first inference: its data if it has any, else zero points (int8) or zeros."""
    if tensor.data is not None:
        return tensor.data
    zero = tensor.quant.zero_point[0] if tensor.quant is not None and tensor.dtype.label == "int8" else 0
    return bytes([zero & 0xFF]) * tensor.nbytes
