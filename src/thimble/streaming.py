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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from types import MappingProxyType

from thimble.ir import Graph, Op, OpId, Rows, TensorId
from thimble.kernel import Slice
from thimble.ops.handover import Handover
from thimble.ops.rows import is_image
from thimble.patches import Patch, rows_kept, source, source_rows, strip_bytes
from thimble.row_order import Member, Ring, last_turns, row_order
from thimble.watch import Watch, unwatched

LONGEST = 32
"""Operators in a segment at most; the search is quadratic in it."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What an operator's kernels for one row are like: bytes of work space, and the operands that a row may replace."""

    scratch: int = 0
    over: tuple[TensorId, ...] = ()


NO_TRAITS: Mapping[OpId, Traits] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Segment:
    """Operators in the schedule's order; a single one that cannot run by rows has no `order`.

    `order` lists operators, each time for its next row, from the last one up if `descending`; rows are then counted
    from the last one in what follows. `rings` are the tensors that only live inside, with how many of their rows are
    kept; those that share one line buffer are together in `shared`. `last_read[t]` is, per row of a tensor, the last
    step (index in `order`) that reads it; `written[t]` the step that writes it. Of a patch (`patches.py`) only the last
    operator is in `order`; `rings` says how many rows of its interior tensors are kept. An operator that works on
    `slices` of tensors runs as a whole.
    """

    ops: tuple[OpId, ...]
    order: tuple[OpId, ...] = ()
    descending: bool = False
    rings: Mapping[TensorId, int] | None = None
    written: Mapping[TensorId, tuple[int, ...]] | None = None
    last_read: Mapping[TensorId, tuple[int, ...]] | None = None
    shared: tuple[tuple[TensorId, ...], ...] = ()
    patches: tuple[Patch, ...] = ()
    slices: Mapping[TensorId, Slice] | None = None

    @property
    def steps(self) -> int:
        return max(1, len(self.order))

    def busy(self, tensors: Sequence[TensorId]) -> list[tuple[int, int]]:
        """Ranges of steps, ascending and apart, in which any row of the tensors of a line buffer is still needed."""
        assert self.written is not None and self.last_read is not None
        rows: list[tuple[int, int]] = []
        for tensor in tensors:
            reads = self.last_read.get(tensor, self.written[tensor])
            rows += ((w, max(w, r) + 1) for w, r in zip(self.written[tensor], reads, strict=True))
        found: list[tuple[int, int]] = []
        for start, stop in sorted(rows):
            if found and start <= found[-1][1]:
                found[-1] = found[-1][0], max(stop, found[-1][1])
            else:
                found.append((start, stop))
        return found


def row_rules(graph: Graph, op: OpId) -> dict[TensorId, Rows] | None:
    """Per operand that is read by rows, which ones each turn reads; None for an operator that cannot run by rows."""
    return _all_rules(graph)[op]


def accumulates(graph: Graph, op: OpId) -> bool:
    """Whether an operator takes in a row at a time and computes its only row with the last one."""
    return _all_accumulating(graph)[op]


@lru_cache(maxsize=4)
def _all_rules(graph: Graph) -> tuple[dict[TensorId, Rows] | None, ...]:
    return tuple(_rules_of(graph, op) for op in graph.ops)


def _rules_of(graph: Graph, op: Op) -> dict[TensorId, Rows] | None:
    results = graph.results(op)
    if len(results) != 1 or not is_image(results[0]):
        return None
    rows = op.attrs.input_rows(graph.operands(op), results[0])
    if rows is None:
        return None
    rules = {t: r for t, r in zip(op.inputs, rows, strict=True) if t is not None and r is not None}
    if accumulates(graph, op.id):
        return {t: tuple((row, row + 1) for row in range(*r[0])) for t, r in rules.items()}
    return rules


@lru_cache(maxsize=4)
def _all_accumulating(graph: Graph) -> tuple[bool, ...]:
    return tuple(
        bool(op.outputs) and op.attrs.accumulates(graph.operands(op), graph.results(op)[0]) for op in graph.ops
    )


def segment(
    graph: Graph,
    ops: Sequence[OpId],
    rules: Mapping[OpId, dict[TensorId, Rows] | None],
    kept: set[TensorId],
    *,
    traits: Mapping[OpId, Traits] = NO_TRAITS,
    descending: bool = False,
    patches: tuple[Patch, ...] = (),
) -> Segment | None:
    """The segment of some operators, all of which run by rows; None if one of them needs another's result whole.

    `kept` are the tensors that are needed after it. Descending, a segment is the mirror image of an ascending one. An
    operator that accumulates has none, nor has a patch; and the application hands rows over from the first one on.
    """
    results = {graph.ops[op].outputs[0] for op in ops}
    for op in ops:
        own = rules[op]
        if own is None or any(t in results and t not in own for t in graph.ops[op].inputs if t is not None):
            return None
    if descending:
        if patches or any(accumulates(graph, op) or isinstance(graph.ops[op].attrs, Handover) for op in ops):
            return None
        rules = {op: _mirrored(graph, rules[op]) for op in ops}
    members = tuple(_members(graph, ops, rules, patches))
    groups = _groups(graph, members, kept, traits)
    rings = tuple(Ring(group, _row_bytes(graph, group[0])) for group in groups)
    order = row_order(members, rings)
    written, last_read = _moments(graph, members, order.order)
    rows = {t: count for ring, count in zip(rings, order.kept, strict=True) for t in ring.tensors}
    for patch in patches:
        rows |= rows_kept(graph, patch, rules)
    return Segment(tuple(ops), order.order, descending, rows, written, last_read, groups, patches)


def _members(
    graph: Graph,
    ops: Sequence[OpId],
    rules: Mapping[OpId, dict[TensorId, Rows] | None],
    patches: tuple[Patch, ...],
) -> Iterator[Member]:
    """Who takes turns: operators by themselves, and patches in place of their last operators."""
    inside = {op: patch for patch in patches for op in patch.ops}
    for op in ops:
        result = graph.ops[op].outputs[0]
        height = graph.tensors[result].shape[1]
        patch = inside.get(op)
        if patch is None:
            own = rules[op] or {}
            turns = len(next(iter(own.values()))) if own else height
            yield Member(op, result, turns, tuple(own.items()), height, accumulates(graph, op))
        elif op == patch.last:
            reads = ((source(graph, patch), source_rows(graph, patch, rules)),)
            yield Member(op, result, len(reads[0][1]), reads, height, band=patch.band)


def _groups(
    graph: Graph, members: Sequence[Member], kept: set[TensorId], traits: Mapping[OpId, Traits]
) -> tuple[tuple[TensorId, ...], ...]:
    """The line buffers: a result computed in place of an operand that nobody else reads shares the operand's."""
    readers: dict[TensorId, int] = {}
    for member in members:
        for tensor, _ in member.reads:
            readers[tensor] = readers.get(tensor, 0) + 1
    groups: dict[TensorId, list[TensorId]] = {}
    root: dict[TensorId, TensorId] = {}
    for member in members:
        if member.result in kept or not graph.tensors[member.result].in_arena:
            continue
        over = (
            t
            for t in traits.get(member.op, Traits()).over
            if t in root and readers[t] == 1 and member.reads_in_step(t)
            if _row_bytes(graph, t) == _row_bytes(graph, member.result)
        )
        operand = next(over, None)
        root[member.result] = member.result if operand is None else root[operand]
        groups.setdefault(root[member.result], []).append(member.result)
    return tuple(map(tuple, groups.values()))


def _row_bytes(graph: Graph, tensor: TensorId) -> int:
    return graph.tensors[tensor].nbytes // graph.tensors[tensor].shape[1]


Moments = Mapping[TensorId, tuple[int, ...]]


def _moments(graph: Graph, members: Sequence[Member], order: Sequence[OpId]) -> tuple[Moments, Moments]:
    """When each row of the results is written, and when each row of the operands is read for the last time.

    A result that the application takes is written nowhere.
    """
    steps: dict[OpId, list[int]] = {member.op: [] for member in members}
    for step, op in enumerate(order):
        steps[op].append(step)
    there = (member for member in members if graph.tensors[member.result].in_arena)
    written = {member.result: member.written_at(steps[member.op]) for member in there}
    last_read: dict[TensorId, tuple[int, ...]] = {}
    for member in sorted(members, key=lambda member: steps[member.op][0]):
        taken = [*steps[member.op], 0]  # the last one for rows that nobody reads
        for tensor, rows in member.reads:
            reads = tuple([taken[turn] for turn in last_turns(rows, graph.tensors[tensor].shape[1])])
            known = last_read.get(tensor)
            last_read[tensor] = reads if known is None else tuple(map(max, known, reads))
    return written, last_read


def _mirrored(graph: Graph, rules: dict[TensorId, Rows] | None) -> dict[TensorId, Rows] | None:
    """Rules for rows counted from the last one, of operands and result."""
    if rules is None:
        return None
    height = {t: graph.tensors[t].shape[1] for t in rules}
    return {t: tuple((height[t] - end, height[t] - first) for first, end in rows[::-1]) for t, rows in rules.items()}


def partitions(
    graph: Graph,
    order: Sequence[OpId],
    *,
    longest: int = LONGEST,
    keep_inputs: bool = False,
    traits: Mapping[OpId, Traits] = NO_TRAITS,
    elsewhere: Collection[TensorId] = (),
    watch: Watch = unwatched,
) -> tuple[tuple[Segment, ...], ...]:
    """Ways to cut the schedule into segments so that the peak of live bytes is least.

    Of those with the same peak one with few, short segments, and one whose peaks are low everywhere, which leaves more
    room for the packing. The bytes of tensors that are `elsewhere` do not count.
    """
    rules = {op: row_rules(graph, op) for op in order}
    life = Life(graph, order, keep_inputs, traits, elsewhere)

    def part(start: int, stop: int) -> Segment:
        ops = tuple(order[start:stop])
        able = rules[ops[0]] is not None
        found = segment(graph, ops, rules, life.kept(stop), traits=traits) if able else None
        return found or Segment(ops)

    cuts = _Cut(lambda length, peak: length - 1), _Cut(lambda length, peak: length * peak)
    starts = _starts(graph, order, rules)
    for stop in range(1, len(order) + 1):
        watch(stop - 1, len(order), f"{stop} of {len(order)} operators")
        for start in range(stop - 1, max(starts[stop], stop - longest) - 1, -1):
            if any(cut.may_start(start, stop, life.least(start, stop)) for cut in cuts):
                peak = life.peak(start, stop, part(start, stop))
                for cut in cuts:
                    cut.offer(start, stop, peak)
    found = [cut.edges() for cut in cuts]
    return tuple(tuple(part(*edge) for edge in edges) for edges in dict.fromkeys(found))


def _starts(graph: Graph, order: Sequence[OpId], rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> list[int]:
    """Per end of a segment where it can start at the earliest, so that all its operators run by rows."""
    whole: dict[TensorId, int] = {}  # who needs it whole: the first one
    for place in range(len(order) - 1, -1, -1):
        own = rules[order[place]] or {}
        whole |= {t: place for t in graph.ops[order[place]].inputs if t is not None and t not in own}
    starts = [0]
    for stop in range(1, len(order) + 1):
        start = stop - 1
        if rules[order[start]] is not None:
            while start and rules[order[start - 1]] is not None:
                if whole.get(graph.ops[order[start - 1]].outputs[0], stop) < stop:
                    break
                start -= 1
        starts.append(start)
    return starts


class _Cut:
    """The cut of a schedule whose highest peak is least, and among these the one whose prices add up to the least.

    Of segments that are as good the shortest is taken, which is to be offered first.
    """

    def __init__(self, price: Callable[[int, int], int]) -> None:
        self.price = price  # of a segment's length and peak
        self.best: list[tuple[int, int]] = [(0, 0)]  # per end
        self.back: list[int] = [0]

    def may_start(self, start: int, stop: int, least: int) -> bool:
        """Whether a segment with at least that peak can be better than those that were offered for its end."""
        return len(self.best) == stop or self._score(start, stop, least) < self.best[stop]

    def offer(self, start: int, stop: int, peak: int) -> None:
        """A segment; ends in ascending order."""
        score = self._score(start, stop, peak)
        if len(self.best) == stop:
            self.best.append(score)
            self.back.append(start)
        elif score < self.best[stop]:
            self.best[stop], self.back[stop] = score, start

    def edges(self) -> tuple[tuple[int, int], ...]:
        """First and end of each segment, from the schedule's start to its end."""
        found, at = [], len(self.best) - 1
        while at:
            found.append((self.back[at], at))
            at = self.back[at]
        return tuple(reversed(found))

    def _score(self, start: int, stop: int, peak: int) -> tuple[int, int]:
        before, spent = self.best[start]
        return max(before, peak), spent + self.price(stop - start, peak)


class Life:
    """When tensors of the arena live, in positions of the schedule, and what that sums up to."""

    def __init__(
        self,
        graph: Graph,
        order: Sequence[OpId],
        keep_inputs: bool,
        traits: Mapping[OpId, Traits],
        elsewhere: Collection[TensorId] = (),
        whole: bool = False,
    ) -> None:
        """With `whole`, what a segment reads and writes counts in full while it runs, not row by row."""
        self.whole = whole
        self.graph = graph
        self.scratch = [traits.get(op, Traits()).scratch for op in order]
        self.size = {t.id: 0 if t.id in elsewhere else t.nbytes for t in graph.tensors if t.in_arena}
        self.first = dict.fromkeys(graph.given, -1)
        self.last: dict[TensorId, int] = dict.fromkeys(graph.given, 0)
        for at, op in enumerate(order):
            for tensor in graph.ops[op].outputs:
                self.first[tensor] = self.last[tensor] = at
            for operand in graph.ops[op].inputs:
                if operand is not None:
                    self.last[operand] = at
        self.last.update(dict.fromkeys((*graph.outputs, *(graph.inputs if keep_inputs else ())), len(order)))

        change = [0] * (len(order) + 2)
        for tensor, size in self.size.items():
            if tensor in self.first:
                change[self.first[tensor] + 1] += size
                change[self.last[tensor] + 1] -= size
        self.between = list(accumulate(change))
        """Per position the bytes that were there before it and are needed from it on."""

    def kept(self, stop: int) -> set[TensorId]:
        return {t for t in self.size if self.last.get(t, -1) >= stop}

    def plain(self, at: int) -> int:
        live = sum(size for t, size in self.size.items() if self.first.get(t, at + 1) <= at <= self.last[t])
        return live + self.scratch[at]

    def least(self, start: int, stop: int) -> int:
        """What the peak of a segment cannot be below: all that is there at its start, and at its end."""
        return max(self.between[start], self.between[stop])

    def peak(self, start: int, stop: int, part: Segment) -> int:
        """Most bytes that live at any step of a segment."""
        if not part.order:
            return self.plain(start)
        assert part.written is not None and part.last_read is not None
        touched = set(part.written) | set(part.last_read)
        now = self.between[start]
        change = [0] * (len(part.order) + 1)
        for tensor in touched & set(self.size):
            self._kept_rows(tensor, stop, part, change)
        self._line_buffers(part, change)
        scratch = dict(zip(part.ops, self.scratch[start:stop], strict=True))
        for patch in part.patches:
            rows = strip_bytes(self.graph, patch)
            held = sum((part.rings or {})[t] * size for t, size in rows.items())
            scratch[patch.last] = held + max(scratch[op] for op in patch.ops)
        live = accumulate((now + change[0], *change[1:-1]))
        return max([now, *(most + scratch[op] for most, op in zip(live, part.order, strict=True))])

    def _kept_rows(self, tensor: TensorId, stop: int, part: Segment, change: list[int]) -> None:
        """How the bytes of a tensor that outlives or precedes a segment change."""
        assert part.rings is not None and part.written is not None and part.last_read is not None
        if tensor in part.rings:
            return
        row = self.size[tensor] // self.graph.tensors[tensor].shape[1]
        if tensor in part.written:
            for step in part.written[tensor]:
                change[step] += row
        elif self.last[tensor] < stop:
            for step in freed(part.last_read[tensor]):
                change[step + 1] -= row

    def _line_buffers(self, part: Segment, change: list[int]) -> None:
        for ring in part.shared:
            block = (part.rings or {})[ring[0]] * (self.size[ring[0]] // self.graph.tensors[ring[0]].shape[1])
            for begin, end in part.busy(ring):
                change[begin] += block
                change[end] -= block


def freed(last_read: Sequence[int]) -> Iterator[int]:
    """Per row of a tensor, the last step that reads it or a row before it: rows are given up from the front."""
    latest = 0
    for step in last_read:
        latest = max(latest, step)
        yield latest
