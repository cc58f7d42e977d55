# SPDX-License-Identifier: Apache-2.0
"""Units with their kernel calls to a packing problem: what takes which bytes of the arena, and when.

Time is counted in steps of the segments: one per operator that runs as a whole, one per row where a segment runs row by
row. An operand that dies row by row may be overwritten from its start; that is what distances in the problem say. Line
buffers and work space are idle between their turns, which are gaps.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from thimble.ir import Graph, OpId, TensorId
from thimble.lower import SCRATCH_ALIGNMENT, Slot, Unit, alignment_of, row_bytes, slices_of, variables_of, work_space_of
from thimble.memory import Buffer, BufferId, Distance, Interval, Problem
from thimble.patches import interior, strip_bytes
from thimble.streaming import Segment, freed, row_rules

MOST_BLOCKS = 32
"""Blocks of rows that an input is split into."""


def arena_problem(
    graph: Graph, units: Sequence[Unit], *, keep_inputs: bool = False, merge: bool = False, split: bool = False
) -> tuple[Problem, tuple[Slot, ...]]:
    """The packing problem of one arena, and whose each of its buffers is.

    Args:
        graph: what the units compute.
        units: in the order in which they run.
        keep_inputs: the caller's inputs are left alone.
        merge: a result that can be computed in place shares the buffer of an operand that dies there (rung 3).
        split: the largest input that is read row by row lies at the arena's start, in blocks of rows that are given up
            one after another, so that anything may take their place.
    """
    slots: list[Slot] = []
    buffers: list[Buffer] = []

    def add(slot: Slot, size: int, busy: Sequence[Interval], alignment: int, offset: int | None = None) -> None:
        gaps = tuple(Interval(a.stop, b.start) for a, b in itertools.pairwise(busy))
        slots.append(slot)
        life = Interval(busy[0].start, busy[-1].stop)
        buffers.append(Buffer(BufferId(len(buffers)), size, life, alignment, gaps, offset))

    starts = _starts(units)
    lives = _lifetimes(graph, units, starts, keep_inputs)
    held = {*graph.outputs, *(graph.inputs if keep_inputs else ())}
    blocks = _blocks(graph, units, starts, held) if split else ()
    apart = {t for unit in units for t in _rings(unit)} | {t for block in blocks for t in block[0].tensors}
    whole = {t: life for t, life in lives.items() if t not in apart}
    for members in _classes(graph, units, whole, held) if merge else [(t,) for t in whole]:
        tensors = [graph.tensors[t] for t in members]
        life = Interval(min(lives[t].start for t in members), max(lives[t].stop for t in members))
        add(Slot(tuple(members)), max(t.nbytes for t in tensors), [life], max(map(alignment_of, tensors)))
    for slot, size, life, offset in blocks:
        add(slot, size, [life], 1, offset)
    for variable in variables_of(graph):
        add(Slot((variable.id,)), variable.nbytes, [Interval(0, starts[-1])], alignment_of(variable))
    for unit, base in zip(units, starts, strict=False):
        for slot, size, busy, alignment in _passing(graph, unit, base):
            add(slot, size, busy, alignment)
    index = dict(zip(slots, buffers, strict=True))
    distances = _all_distances(graph, units, starts, lives, held, index)
    return Problem(tuple(buffers), distances=distances), tuple(slots)


def _passing(graph: Graph, unit: Unit, base: int) -> Iterator[tuple[Slot, int, list[Interval], int]]:
    """What only lives while a unit runs: line buffers, strips, work space; bytes, moments of use, alignment."""
    part = unit.segment
    for group in part.shared if unit.streamed else ():
        tensors = [graph.tensors[t] for t in group]
        size = _rings(unit)[group[0]] * row_bytes(tensors[0])
        busy = [Interval(base + start, base + stop) for start, stop in part.busy(group)]
        yield Slot(group), size, busy, max(map(alignment_of, tensors))
    for patch in part.patches:
        turns = _turns(unit, patch.last, base)
        for tensor, size in strip_bytes(graph, patch).items():
            yield Slot((tensor,)), _rings(unit)[tensor] * size, turns, alignment_of(graph.tensors[tensor])
    for op, calls in zip(part.ops, unit.calls, strict=True):
        scratch = work_space_of(calls)
        if scratch:
            yield Slot((), op), scratch, _turns(unit, op, base), SCRATCH_ALIGNMENT


def _turns(unit: Unit, op: OpId, base: int) -> list[Interval]:
    """The steps at which an operator's work space is in use."""
    if not unit.streamed:
        return [Interval(base, base + unit.segment.steps)]
    taken_by = next((patch.last for patch in unit.segment.patches if op in patch.ops), op)
    steps = [base + step for step, taken in enumerate(unit.segment.order) if taken == taken_by]
    if any(call.accumulates for call in unit.calls[unit.segment.ops.index(op)]):
        return [Interval(steps[0], steps[-1] + 1)]
    found: list[Interval] = []
    for step in steps:
        if found and found[-1].stop == step:
            found[-1] = Interval(found[-1].start, step + 1)
        else:
            found.append(Interval(step, step + 1))
    return found


def _blocks(
    graph: Graph, units: Sequence[Unit], starts: Sequence[int], held: set[TensorId]
) -> tuple[tuple[Slot, int, Interval, int], ...]:
    """The largest input that dies row by row, from the first row on, as blocks: bytes, lifetime, offset."""
    last = {t: number for number, unit in enumerate(units) for op in unit.segment.ops for t in graph.ops[op].inputs}
    able = [
        t
        for t in graph.given
        if graph.tensors[t].in_arena and t not in held and t in last and _given_up(graph, units[last[t]], t) is not None
    ]
    if not able:
        return ()
    tensor = max(able, key=lambda t: graph.tensors[t].nbytes)
    unit, base = units[last[tensor]], starts[last[tensor]]
    given_up = _given_up(graph, unit, tensor) or ()
    height, row = len(given_up), row_bytes(graph.tensors[tensor])
    count = min(height, MOST_BLOCKS)
    edges = [height * number // count for number in range(count + 1)]
    return tuple(
        (Slot((tensor,), part=number), (end - first) * row, Interval(0, base + given_up[end - 1] + 1), first * row)
        for number, (first, end) in enumerate(itertools.pairwise(edges))
    )


def _given_up(graph: Graph, unit: Unit, tensor: TensorId) -> tuple[int, ...] | None:
    """Per row of an operand when it is read for the last time, if it is streamed from the first row on."""
    part = unit.segment
    if not unit.streamed or part.descending or tensor not in (part.last_read or {}):
        return None
    if any(tensor not in (row_rules(graph, op) or {}) for op in _readers(graph, part, tensor)):
        return None
    return tuple(freed((part.last_read or {})[tensor]))


def _all_distances(
    graph: Graph,
    units: Sequence[Unit],
    starts: Sequence[int],
    lives: Mapping[TensorId, Interval],
    held: set[TensorId],
    index: Mapping[Slot, Buffer],
) -> tuple[Distance, ...]:
    """How far results must stay behind operands that die row by row."""
    whole = {t: buffer for slot, buffer in index.items() if _is_whole(slot, index) for t in slot.tensors}
    found = [
        Distance(whole[early].id, whole[late].id, least)
        for number, unit in enumerate(units)
        for operand, (early, late, least) in _distances(graph, unit)
        if operand in whole and operand not in held and whole[operand].lifetime.stop <= starts[number + 1]
        if all(whole[t].lifetime.start == lives[t].start for t in {early, late} - {operand})  # first of its class
    ]
    for slot, block in index.items():
        if _is_whole(slot, index):
            continue
        number = next(n for n, unit in enumerate(units) if starts[n + 1] >= block.lifetime.stop)
        part, base = units[number].segment, starts[number]
        for result, writes in (part.written or {}).items():
            if whole[result].lifetime.start != lives[result].start:
                continue  # not the first of its class
            kept = (part.rings or {}).get(result, len(writes))
            rows = min(kept, sum(base + step < block.lifetime.stop for step in writes))
            if rows:
                least = rows * row_bytes(graph.tensors[result])
                found.append(Distance(whole[result].id, block.id, least))
    return tuple(found)


def _is_whole(slot: Slot, index: Mapping[Slot, Buffer]) -> bool:
    """Whether a tensor is one block."""
    return slot.part == 0 and replace(slot, part=1) not in index


def _rings(unit: Unit) -> Mapping[TensorId, int]:
    """Rows that are kept of each tensor inside a segment, where these are not all."""
    return unit.segment.rings or {} if unit.streamed else {}


def _classes(
    graph: Graph, units: Sequence[Unit], lives: Mapping[TensorId, Interval], held: set[TensorId]
) -> list[tuple[TensorId, ...]]:
    """Tensors by alias class: slices with what they are parts of, results computed in place with dying operands."""
    last = {t: number for number, unit in enumerate(units) for op in unit.segment.ops for t in graph.ops[op].inputs}
    slices = slices_of(units)
    parts: dict[TensorId, list[TensorId]] = {}
    for tensor, place in slices.items():
        parts.setdefault(place.root, []).append(tensor)
    root: dict[TensorId, TensorId] = {}
    for number, unit in enumerate(units):
        if unit.streamed or len(unit.calls[0]) != 1:
            continue
        call = unit.calls[0][0]
        for read, write in call.in_place:
            operand, result = call.reads[read].tensor, call.writes[write].tensor
            dies = operand.id in lives and operand.id not in held and last.get(operand.id) == number
            dies &= all(last.get(part, number) <= number for part in parts.get(operand.id, ()))
            if {operand.id, result.id} & slices.keys():
                continue
            if dies and operand.nbytes == result.nbytes and result.id in lives and result.id not in root:
                root[result.id] = root.get(operand.id, operand.id)
    members: dict[TensorId, list[TensorId]] = {}
    for tensor in lives:
        of = slices[tensor].root if tensor in slices else tensor
        members.setdefault(root.get(of, of), []).append(tensor)
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
        inside = {t for patch in part.patches for t in interior(graph, patch)}
        for op in part.ops:
            for tensor in graph.ops[op].outputs:
                if graph.tensors[tensor].in_arena:
                    writes = written.get(tensor, (0,))
                    start[tensor] = base + writes[0]
                    stop[tensor] = base + writes[-1] + 1
            for operand in graph.ops[op].inputs:
                if operand is not None and operand in start and operand not in inside:
                    whole = operand not in (row_rules(graph, op) or {}) or not part.order
                    last = starts[number + 1] if whole else base + max(last_read[operand]) + 1
                    stop[operand] = max(stop[operand], last)
    for tensor in (*graph.outputs, *(graph.inputs if keep_inputs else ())):
        if tensor in start:
            stop[tensor] = end
    return {tensor: Interval(start[tensor], stop[tensor]) for tensor in sorted(start)}


@lru_cache(maxsize=1024)
def _distances(graph: Graph, unit: Unit) -> tuple[tuple[TensorId, tuple[TensorId, TensorId, int]], ...]:
    return tuple(_distances_in(graph, unit))


def _distances_in(graph: Graph, unit: Unit) -> Iterator[tuple[TensorId, tuple[TensorId, TensorId, int]]]:
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
