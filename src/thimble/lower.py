# SPDX-License-Identifier: Apache-2.0
"""Graph and segments to Program: operators become kernel calls, and their tensors get their places.

Graph ─lowered→ kernel calls per operator ─arena_problem→ Problem ─pack→ Solution ─assembled→ Program

Time is counted in steps of the segments: one per operator that runs as a whole, one per row where a segment runs row by
row. An operand that dies row by row may be overwritten from its start; that is what distances in the problem say.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Graph, Kind, Op, OpId, Tensor, TensorId
from thimble.kernel import Choice, Fields, Flavour, KernelCall, Site, View
from thimble.memory import Buffer, BufferId, Distance, Interval, Problem, Schedule, Solution
from thimble.program import FLASH, Access, ArenaBlock, ByRow, Program, Step, Stream
from thimble.streaming import Segment, freed, row_rules

ALIGNMENT = 4
"""Least alignment of a tensor, so that kernels may read words; wider elements are aligned to their size."""
SCRATCH_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """A segment with the kernel calls of each of its operators; `streamed` says whether they run row by row."""

    segment: Segment
    calls: tuple[tuple[KernelCall, ...], ...]
    streamed: bool = False

    @property
    def scratch(self) -> int:
        return max((call.scratch for calls in self.calls for call in calls), default=0)


@dataclass(frozen=True, slots=True)
class Slot:
    """Whose bytes a buffer of the packing problem is: an alias class of tensors, or the work space of a unit."""

    tensors: tuple[TensorId, ...]
    unit: int | None = None


def lowered(
    graph: Graph, segments: Sequence[Segment], flavour: Flavour, choices: Mapping[OpId, Choice] = MappingProxyType({})
) -> tuple[Unit, ...]:
    """The kernel calls of all operators, segment by segment; `choices` for those that get other kernels.

    Raises:
        UnsupportedOperatorError: names every operator that cannot be compiled, once per kind.
    """
    units: list[Unit] = []
    refused: dict[str, str] = {}
    for part in segments:
        try:
            units.append(_unit(graph, part, [choices.get(op, Choice(flavour)) for op in part.ops]))
        except UnsupportedOperatorError as error:
            refused.setdefault(graph.ops[part.ops[0]].kind, str(error))
    if refused:
        raise UnsupportedOperatorError("; ".join(refused.values()))
    return tuple(units)


def _unit(graph: Graph, part: Segment, choices: Sequence[Choice]) -> Unit:
    if len(part.ops) == 1:
        calls = _calls(graph, graph.ops[part.ops[0]], choices[0])
        in_place = len(calls) == 1 and bool(calls[0].in_place)
        if not part.order or in_place or (_in_row_order(calls) and not part.descending):
            return Unit(replace(part, descending=False), (calls,))
    pairs = zip(part.ops, choices, strict=True)
    return Unit(part, tuple(_calls(graph, graph.ops[op], choice, by_row=True) for op, choice in pairs), streamed=True)


def _in_row_order(calls: tuple[KernelCall, ...]) -> bool:
    """Whether an operator reads and writes rows in order as it is, so that its result may follow its operand's rows."""
    return len(calls) == 1 and not calls[0].scattered and bool(calls[0].rows or calls[0].in_place)


def _calls(graph: Graph, op: Op, choice: Choice, *, by_row: bool = False) -> tuple[KernelCall, ...]:
    """An operator's calls; with `by_row` calls for one row, unless its kernel can be told which row to compute."""
    flavour = choice.flavour
    if by_row and flavour.calls_cmsis_nn:
        flavour = Flavour.PORTABLE  # CMSIS-NN computes whole layers only
    site = Site(op.label, graph.operands(op), graph.results(op), flavour, choice.work_space)
    calls = op.attrs.lower(site)
    if not by_row or (len(calls) == 1 and calls[0].rows):
        return calls
    rules = row_rules(graph, op.id) or {}
    inputs = tuple(_one_row(t) if t is not None and t.id in rules else t for t in site.inputs)
    return op.attrs.lower(replace(site, inputs=inputs, outputs=tuple(map(_one_row, site.outputs))))


def _one_row(tensor: Tensor) -> Tensor:
    return replace(tensor, shape=(1, 1, *tensor.shape[2:]))


def arena_problem(
    graph: Graph, units: Sequence[Unit], *, keep_inputs: bool = False, merge: bool = False
) -> tuple[Problem, tuple[Slot, ...]]:
    """The packing problem of one arena, and whose each of its buffers is.

    With `merge` a result that can be computed in place shares the buffer of an operand that dies there (rung 3).
    """
    slots: list[Slot] = []
    buffers: list[Buffer] = []

    def add(slot: Slot, size: int, life: Interval, alignment: int) -> None:
        slots.append(slot)
        buffers.append(Buffer(BufferId(len(buffers)), size, life, alignment))

    rings = rings_of(units)
    starts = _starts(units)
    lives = _lifetimes(graph, units, starts, keep_inputs)
    for members in _classes(graph, units, lives, keep_inputs) if merge else [(t,) for t in lives]:
        tensors = [graph.tensors[t] for t in members]
        life = Interval(min(lives[t].start for t in members), max(lives[t].stop for t in members))
        size = max(rings[t.id] * row_bytes(t) if t.id in rings else t.nbytes for t in tensors)
        add(Slot(tuple(members)), size, life, max(map(alignment_of, tensors)))
    for variable in variables_of(graph):
        add(Slot((variable.id,)), variable.nbytes, Interval(0, starts[-1]), alignment_of(variable))
    for number, unit in enumerate(units):
        if unit.scratch:
            life = Interval(starts[number], starts[number + 1])
            add(Slot((), number), unit.scratch, life, SCRATCH_ALIGNMENT)
    index = {t: buffer for slot, buffer in zip(slots, buffers, strict=True) for t in slot.tensors}
    held = {*graph.outputs, *(graph.inputs if keep_inputs else ())}
    distances = tuple(
        Distance(index[early].id, index[late].id, least)
        for number, unit in enumerate(units)
        for operand, (early, late, least) in _distances(graph, unit)
        if operand in index and operand not in held and index[operand].lifetime.stop <= starts[number + 1]
        if all(index[t].lifetime.start == lives[t].start for t in {early, late} - {operand})  # first of its class
    )
    return Problem(tuple(buffers), distances=distances), tuple(slots)


def _classes(
    graph: Graph, units: Sequence[Unit], lives: Mapping[TensorId, Interval], keep_inputs: bool
) -> list[tuple[TensorId, ...]]:
    """Tensors by alias class: a result joins its operand's if it is computed in place and nobody reads that later."""
    held = {*graph.outputs, *(graph.inputs if keep_inputs else ())}
    last = {t: number for number, unit in enumerate(units) for op in unit.segment.ops for t in graph.ops[op].inputs}
    root: dict[TensorId, TensorId] = {}
    for number, unit in enumerate(units):
        if unit.streamed or len(unit.calls[0]) != 1:
            continue
        call = unit.calls[0][0]
        for read, write in call.in_place:
            operand, result = call.reads[read].tensor, call.writes[write].tensor
            dies = operand.id in lives and operand.id not in held and last.get(operand.id) == number
            if dies and operand.nbytes == result.nbytes and result.id in lives and result.id not in root:
                root[result.id] = root.get(operand.id, operand.id)
    members: dict[TensorId, list[TensorId]] = {}
    for tensor in lives:
        members.setdefault(root.get(tensor, tensor), []).append(tensor)
    return [tuple(group) for group in members.values()]


def _starts(units: Sequence[Unit]) -> list[int]:
    """The first step of each unit, and the end of the last one."""
    starts = [0]
    for unit in units:
        starts.append(starts[-1] + unit.segment.steps)
    return starts if units else [0, 1]


def _lifetimes(
    graph: Graph, units: Sequence[Unit], starts: Sequence[int], keep_inputs: bool
) -> dict[TensorId, Interval]:
    """From the first write to the last read of every tensor that takes arena bytes, in steps."""
    end = max(1, starts[-1])
    start = {t: 0 for t in graph.given if graph.tensors[t].in_arena}
    stop = dict.fromkeys(start, 1)
    for number, unit in enumerate(units):
        part, base = unit.segment, starts[number]
        written, last_read = part.written or {}, part.last_read or {}
        for op in part.ops:
            for tensor in graph.ops[op].outputs:
                if graph.tensors[tensor].in_arena:
                    writes = written.get(tensor, (0,))
                    start[tensor] = base + writes[0]
                    stop[tensor] = base + writes[-1] + 1
            for operand in graph.ops[op].inputs:
                if operand is not None and operand in start:
                    whole = operand not in (row_rules(graph, op) or {}) or not part.order
                    last = starts[number + 1] if whole else base + max(last_read[operand]) + 1
                    stop[operand] = max(stop[operand], last)
    for tensor in (*graph.outputs, *(graph.inputs if keep_inputs else ())):
        if tensor in start:
            stop[tensor] = end
    return {tensor: Interval(start[tensor], stop[tensor]) for tensor in sorted(start)}


def _distances(graph: Graph, unit: Unit) -> Iterator[tuple[TensorId, tuple[TensorId, TensorId, int]]]:
    """(operand, (early, late, distance)): how results of a unit may lie over an operand that dies row by row.

    Going up, a result starts below the operand and follows what has been given up; going down, it ends above.
    """
    part = unit.segment
    if not unit.streamed and unit.calls[0][:1] and unit.calls[0][0].scattered:
        return
    rings, written, last_read = part.rings or {}, part.written or {}, part.last_read or {}
    for operand, reads in last_read.items():
        if operand in written or any(
            operand not in (row_rules(graph, op) or {operand: ()}) for op in _readers(graph, part, operand)
        ):
            continue
        given_up = list(freed(reads))
        for result, writes in written.items():
            kept = rings.get(result, len(writes))
            reach = _reach(graph, unit, (result, operand), writes[:kept], given_up)
            size, row = graph.tensors[operand].nbytes, row_bytes(graph.tensors[operand])
            if not part.descending:
                yield operand, (result, operand, max(0, reach))
            elif result in rings:  # its rows go anywhere in it from the first one on
                yield operand, (operand, result, max(0, size - _given_up_before(writes[0], given_up) * row))
            else:
                yield operand, (operand, result, max(0, size - graph.tensors[result].nbytes + reach))


def _readers(graph: Graph, part: Segment, tensor: TensorId) -> list[OpId]:
    return [op for op in part.ops if tensor in graph.ops[op].inputs]


def _reach(
    graph: Graph, unit: Unit, pair: tuple[TensorId, TensorId], writes: Sequence[int], given_up: Sequence[int]
) -> int:
    """The most that a result is written beyond what has been given up of the operand, in bytes."""
    row, size = (row_bytes(graph.tensors[t]) for t in pair)
    together = not unit.streamed and row == size and any(w == 0 for _, w in unit.calls[0][0].in_place)
    return max(count * row - _given_up_before(step + together, given_up) * size for count, step in enumerate(writes, 1))


def _given_up_before(step: int, given_up: Sequence[int]) -> int:
    """Rows of an operand that no step from this one on reads."""
    return bisect.bisect_left(given_up, step)


def row_bytes(tensor: Tensor) -> int:
    """Bytes of a row of an image."""
    return tensor.nbytes // tensor.shape[1]


def rings_of(units: Sequence[Unit]) -> dict[TensorId, int]:
    """Rows that are kept of each tensor inside a segment, where these are not all."""
    return {t: rows for unit in units if unit.streamed for t, rows in (unit.segment.rings or {}).items()}


def variables_of(graph: Graph) -> tuple[Tensor, ...]:
    """Tensors that keep their values between inferences."""
    return tuple(t for t in graph.tensors if t.kind is Kind.VARIABLE and t.nbytes > 0)


def alignment_of(tensor: Tensor) -> int:
    """Where a tensor may start: at multiples of this many bytes."""
    return max(ALIGNMENT, min(tensor.dtype.bits // 8, SCRATCH_ALIGNMENT))


def assembled(
    name: str, graph: Graph, schedule: Schedule, units: Sequence[Unit], slots: tuple[Slot, ...], solution: Solution
) -> Program:
    """The program of one arena from calls and offsets."""
    offsets = dict(zip(slots, solution.offsets, strict=True))
    places = {tensor: (0, offset) for slot, offset in offsets.items() for tensor in slot.tensors}
    rings = rings_of(units)

    def access(view: View) -> Access:
        arena, offset = places.get(view.tensor.id, (FLASH, 0))
        return Access(view, arena, offset)

    steps: list[Step] = []
    streams: list[Stream] = []
    for number, unit in enumerate(units):
        first = len(steps)
        for op, calls in zip(unit.segment.ops, unit.calls, strict=True):
            for call in calls:
                scratch = (0, offsets[Slot((), number)]) if call.scratch else None
                by_row = ByRow.NO if not unit.streamed else ByRow.KERNEL if call.rows else ByRow.POINTERS
                ringed = replace(call, fields=_with_rings(call, rings)) if by_row is ByRow.KERNEL else call
                reads, writes = tuple(map(access, call.reads)), tuple(map(access, call.writes))
                steps.append(Step(op, ringed, reads, writes, scratch, by_row))
        if unit.streamed:
            position = {op: index for index, op in enumerate(unit.segment.ops)}
            order = tuple(position[op] for op in unit.segment.order)
            members = tuple(len(calls) for calls in unit.calls)
            streams.append(Stream(first, members, order, unit.segment.descending))
    alignment = max((alignment_of(t) for t in graph.tensors), default=ALIGNMENT)
    if any(unit.scratch for unit in units):
        alignment = max(alignment, SCRATCH_ALIGNMENT)
    return Program(
        name=name,
        graph=graph,
        schedule=schedule,
        arenas=(ArenaBlock("arena", solution.height, alignment),),
        steps=tuple(steps),
        places=tuple(places.items()),
        variables=tuple((t.id, initial_bytes(t)) for t in variables_of(graph)),
        streams=tuple(streams),
        rings=tuple(rings.items()),
    )


def _with_rings(call: KernelCall, rings: dict[TensorId, int]) -> Fields:
    """The parameters of a kernel for images, with the rings of its input and output in them."""
    images = {"in": rings.get(call.reads[0].tensor.id), "out": rings.get(call.writes[0].tensor.id)}
    return _replaced(call.fields, images)


def _replaced(fields: Fields, images: Mapping[str, int | None]) -> Fields:
    return tuple((name, _with_ring(value, images.get(name), images)) for name, value in fields)


def _with_ring(value: object, ring: int | None, images: Mapping[str, int | None]) -> Any:
    if not isinstance(value, tuple) or not value or not isinstance(value[0], tuple):
        return value
    if ring is not None:
        return tuple((name, ring if name == "ring" else number) for name, number in value)
    return _replaced(value, images)


def initial_bytes(tensor: Tensor) -> bytes:
    """What a variable holds before the first inference: its data if it has any, else zero points (int8) or zeros."""
    if tensor.data is not None:
        return tensor.data
    zero = tensor.quant.zero_point[0] if tensor.quant is not None and tensor.dtype.label == "int8" else 0
    return bytes([zero & 0xFF]) * tensor.nbytes
