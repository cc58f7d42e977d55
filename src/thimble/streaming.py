# SPDX-License-Identifier: Apache-2.0
"""Segments of a graph that run row by row, so that of the tensors inside only a few rows are kept (rung 5).

A segment is a run of operators of the schedule. The last ones ask for their rows in turn; a row is computed as soon as
all rows that it needs are there, and these are computed just before. No row is computed twice.

    input rows   0 1 2 3 4 5 6 7
    conv 3x3       0 1 2 3 4 5 6      keeps three rows for
    depthwise 3x3    0 1 2 3 4 5      ... whose rows are the next one's input at once

Which runs become segments is chosen by dynamic programming over the schedule: the largest sum of bytes that live at any
time is made least. Of an input that dies in a segment, rows count until they were read for the last time; of a result
that is kept, from when they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from thimble.ir import Graph, OpId, Rows, TensorId
from thimble.ops.rows import is_image

LONGEST = 32
"""Operators in a segment at most; the search is quadratic in it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Operators in the schedule's order; a single one that cannot run by rows has no `order`.

    `order` lists operators, each time for its next row, from the last one up if `descending`; rows are then counted
    from the last one in what follows. `rings` are the tensors that only live inside, with how many
    of their rows are kept. `last_read[t]` is, per row of a tensor, the last step (index in `order`) that reads it;
    `written[t]` the step that writes it.
    """

    ops: tuple[OpId, ...]
    order: tuple[OpId, ...] = ()
    descending: bool = False
    rings: Mapping[TensorId, int] | None = None
    written: Mapping[TensorId, tuple[int, ...]] | None = None
    last_read: Mapping[TensorId, tuple[int, ...]] | None = None

    @property
    def steps(self) -> int:
        return max(1, len(self.order))


def row_rules(graph: Graph, op: OpId) -> dict[TensorId, Rows] | None:
    """Per operand that is read by rows, which ones; None for an operator that cannot run by rows."""
    item = graph.ops[op]
    results = graph.results(item)
    if len(results) != 1 or not is_image(results[0]):
        return None
    rows = item.attrs.input_rows(graph.operands(item), results[0])
    if rows is None:
        return None
    return {t: r for t, r in zip(item.inputs, rows, strict=True) if t is not None and r is not None}


def segment(
    graph: Graph,
    ops: Sequence[OpId],
    rules: Mapping[OpId, dict[TensorId, Rows] | None],
    kept: set[TensorId],
    *,
    descending: bool = False,
) -> Segment | None:
    """The segment of some operators, all of which run by rows; None if one of them needs another's result whole.

    `kept` are the tensors that are needed after it. Descending, a segment is the mirror image of an ascending one.
    """
    if descending:
        rules = {op: _mirrored(graph, rules[op]) for op in ops}
    results = {graph.ops[op].outputs[0]: op for op in ops}
    for op in ops:
        own = rules[op]
        if own is None or any(t in results and t not in own for t in graph.ops[op].inputs if t is not None):
            return None
    order = tuple(_order(graph, ops, rules, results, kept))
    written: dict[TensorId, list[int]] = {t: [] for t in results}
    last_read: dict[TensorId, list[int]] = {}
    done = dict.fromkeys(ops, 0)
    for step, op in enumerate(order):
        for tensor, rows in (rules[op] or {}).items():
            reads = last_read.setdefault(tensor, [0] * graph.tensors[tensor].shape[1])
            for row in range(*rows[done[op]]):
                reads[row] = step
        done[op] += 1
        written[graph.ops[op].outputs[0]].append(step)
    rings = {t: _ring(written[t], last_read.get(t, [])) for t in results if t not in kept}
    freeze = {t: tuple(steps) for t, steps in written.items()}, {t: tuple(steps) for t, steps in last_read.items()}
    return Segment(tuple(ops), order, descending, rings, *freeze)


def turned(graph: Graph, parts: Sequence[Segment]) -> tuple[Segment, ...]:
    """The same segments running in the other direction."""
    found = []
    for part in parts:
        kept = {t for op in part.ops for t in graph.ops[op].outputs} - set(part.rings or {})
        rules = {op: row_rules(graph, op) for op in part.ops}
        other = segment(graph, part.ops, rules, kept, descending=not part.descending) if part.order else part
        assert other is not None
        found.append(other)
    return tuple(found)


def _mirrored(graph: Graph, rules: dict[TensorId, Rows] | None) -> dict[TensorId, Rows] | None:
    """Rules for rows counted from the last one, of operands and result."""
    if rules is None:
        return None
    height = {t: graph.tensors[t].shape[1] for t in rules}
    return {t: tuple((height[t] - end, height[t] - first) for first, end in rows[::-1]) for t, rows in rules.items()}


def _order(
    graph: Graph,
    ops: Sequence[OpId],
    rules: Mapping[OpId, dict[TensorId, Rows] | None],
    results: Mapping[TensorId, OpId],
    kept: set[TensorId],
) -> Iterator[OpId]:
    """Operators by demand: those whose results are kept take turns, at a rate that brings all to an end together."""
    height = {op: graph.tensors[graph.ops[op].outputs[0]].shape[1] for op in ops}
    done = dict.fromkeys(ops, 0)
    sinks = [op for op in ops if graph.ops[op].outputs[0] in kept] or [ops[-1]]
    turns = max(height[op] for op in sinks)
    for turn in range(1, turns + 1):
        for sink in sinks:
            while done[sink] < -(-turn * height[sink] // turns):
                yield from _demand(sink, rules, results, done)
    for op in ops:  # rows that nobody needs, below the last window
        while done[op] < height[op]:
            yield from _demand(op, rules, results, done)


def _demand(
    wanted: OpId,
    rules: Mapping[OpId, dict[TensorId, Rows] | None],
    results: Mapping[TensorId, OpId],
    done: dict[OpId, int],
) -> Iterator[OpId]:
    """The next row of an operator, after the rows that it needs."""
    stack = [wanted]
    while stack:
        op = stack[-1]
        row = done[op]
        needed = (
            results[t] for t, rows in (rules[op] or {}).items() if t in results and done[results[t]] < rows[row][1]
        )
        first = next(needed, None)
        if first is not None:
            stack.append(first)
            continue
        stack.pop()
        done[op] += 1
        yield op


def _ring(written: Sequence[int], last_read: Sequence[int]) -> int:
    """Rows to keep so that none is overwritten before its last read."""
    most = oldest = 1
    oldest = 0
    for row, step in enumerate(written):
        while oldest < row and (not last_read or last_read[oldest] < step):
            oldest += 1
        most = max(most, row - oldest + 1)
    return most


def partition(
    graph: Graph, order: Sequence[OpId], *, longest: int = LONGEST, keep_inputs: bool = False
) -> tuple[Segment, ...]:
    """The schedule cut into segments so that the peak of live bytes is least; ties go to fewer, shorter segments."""
    rules = {op: row_rules(graph, op) for op in order}
    life = _Life(graph, order, keep_inputs)
    best: list[tuple[int, int]] = [(0, 0)]
    back: list[tuple[int, Segment]] = []
    for stop in range(1, len(order) + 1):
        found: tuple[tuple[int, int], int, Segment] | None = None
        for start in range(stop - 1, max(-1, stop - 1 - longest), -1):
            ops = order[start:stop]
            part = segment(graph, ops, rules, life.kept(stop)) if rules[ops[0]] is not None else None
            if part is None and len(ops) > 1:
                break
            cost = life.peak(start, stop, part) if part is not None else life.plain(start)
            score = max(best[start][0], cost), best[start][1] + len(ops) - 1
            if found is None or score < found[0]:
                found = score, start, part or Segment(tuple(ops))
        assert found is not None
        best.append(found[0])
        back.append((found[1], found[2]))
    parts, at = [], len(order)
    while at:
        at, part = back[at - 1][0], back[at - 1][1]
        parts.append(part)
    return tuple(reversed(parts))


class _Life:
    """When tensors of the arena live, in positions of the schedule, and what that sums up to."""

    def __init__(self, graph: Graph, order: Sequence[OpId], keep_inputs: bool) -> None:
        self.graph = graph
        self.size = {t.id: t.nbytes for t in graph.tensors if t.in_arena}
        self.first = dict.fromkeys(graph.given, -1)
        self.last: dict[TensorId, int] = dict.fromkeys(graph.given, 0)
        for at, op in enumerate(order):
            for tensor in graph.ops[op].outputs:
                self.first[tensor] = self.last[tensor] = at
            for operand in graph.ops[op].inputs:
                if operand is not None:
                    self.last[operand] = at
        self.last.update(dict.fromkeys((*graph.outputs, *(graph.inputs if keep_inputs else ())), len(order)))

    def kept(self, stop: int) -> set[TensorId]:
        return {t for t in self.size if self.last.get(t, -1) >= stop}

    def plain(self, at: int) -> int:
        return sum(size for t, size in self.size.items() if self.first.get(t, at + 1) <= at <= self.last[t])

    def peak(self, start: int, stop: int, part: Segment) -> int:
        """Most bytes that live at any step of a segment."""
        assert part.rings is not None and part.written is not None and part.last_read is not None
        change = [0] * (len(part.order) + 1)
        now = 0
        touched = set(part.written) | set(part.last_read)
        for tensor, size in self.size.items():
            if tensor not in touched and self.first.get(tensor, stop) < start <= self.last[tensor]:
                now += size
        for tensor in touched & set(self.size):
            row = self.size[tensor] // self.graph.tensors[tensor].shape[1]
            if tensor in part.rings:
                block, writes = part.rings[tensor] * row, part.written[tensor]
                change[writes[0]] += block
                change[max(*part.last_read.get(tensor, (0,)), writes[-1]) + 1] -= block
            elif tensor in part.written:
                for step in part.written[tensor]:
                    change[step] += row
            else:
                now += self.size[tensor]
                if self.last[tensor] < stop:
                    for step in freed(part.last_read[tensor]):
                        change[step + 1] -= row
        most = now
        for delta in change[:-1]:
            now += delta
            most = max(most, now)
        return most


def freed(last_read: Sequence[int]) -> Iterator[int]:
    """Per row of a tensor, the last step that reads it or a row before it: rows are given up from the front."""
    latest = 0
    for step in last_read:
        latest = max(latest, step)
        yield latest
