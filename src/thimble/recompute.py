# SPDX-License-Identifier: Apache-2.0
"""Which patches need how much less memory, and what they cost in multiply-accumulates (rung 6).

Every segment has alternatives: with patches around its largest line buffers, in several strips and bands; and as one
patch together with its neighbours. Segments follow one another, so for any limit of the peak the cheapest alternatives
within it are found by dynamic programming over the places where the schedule is cut. Point by point the limit falls
below the last peak, and the segments that stand in the way get more alternatives, until none helps.

Source: patches as such are those of J. Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep
Learning", NeurIPS 2021, section 3; here they are a part of a segment whose other tensors have line buffers. That cuts
are to be chosen together: "msf-CNN: Patch-based Multi-Stage Fusion with Convolutional Neural Networks for TinyML",
arXiv 2505.11483.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from thimble.ir import Graph, OpId, Rows, TensorId
from thimble.patches import Patch, extra_macs, is_chain, strip_bytes
from thimble.streaming import Life, Segment, Traits, row_rules, segment
from thimble.watch import Watch, unwatched

MOST_STEPS = 96
_STEP = 200  # each point saves at least this part of what the last one needs
MOST_STRIPS = 24
"""Each strip of each operator is a kernel call of its own, in flash."""
_REACH = 4  # operators before and behind a line buffer that a patch may begin and end with
_JOINED = 6  # segments that may become one patch
_CLOSER = 3  # chains of which many strips and bands are tried
_COLUMNS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # of the widest strip
_BANDS = (1, 2, 4, 8)

Rules = Mapping[OpId, dict[TensorId, Rows] | None]


@dataclass(frozen=True, slots=True)
class Trial:
    """A segment with its peak, and the multiply-accumulates that its patches add."""

    part: Segment
    peak: int
    extra: int


def front(
    graph: Graph,
    parts: Sequence[Segment],
    *,
    traits: Mapping[OpId, Traits],
    keep_inputs: bool = False,
    most: int | None = None,
    elsewhere: Collection[TensorId] = (),
    whole: bool = False,
    watch: Watch = unwatched,
) -> Iterator[tuple[Segment, ...]]:
    """The segments with more and more patches, each time with a lower peak; not the segments as they are.

    Args:
        graph: what is computed.
        parts: its segments.
        traits: of the kernels.
        keep_inputs: the caller's inputs are left alone.
        most: multiply-accumulates that may be added in all; None: any number.
        elsewhere: tensors whose bytes do not count.
        whole: what a segment reads and writes counts in full; where many follow one another the packing may not be able
            to put results where rows of operands have been given up.
        watch: is told about progress.
    """
    order = tuple(op for part in parts for op in part.ops)
    search = _search(graph, order, keep_inputs, tuple(traits.items()), tuple(elsewhere), whole)
    table = _Table(search, search.start(parts))
    now = table.cheapest(None)
    for step in range(MOST_STEPS):
        assert now is not None
        peak = max(trial.peak for trial in now)
        watch(step, MOST_STEPS, f"a peak of {peak} bytes")
        now = table.below(peak - max(1, peak // _STEP), now)
        if now is None or (most is not None and sum(trial.extra for trial in now) > most):
            return
        yield tuple(trial.part for trial in now)


class _Table:
    """The alternatives of all segments and of runs of them, by the numbers of the first and behind the last one."""

    def __init__(self, search: _Search, parts: Sequence[Trial]) -> None:
        self.search = search
        self.parts = parts
        self.found: dict[tuple[int, int], list[Trial]] = {(n, n + 1): [trial] for n, trial in enumerate(parts)}
        self.starts = [sum(len(trial.part.ops) for trial in parts[:n]) for n in range(len(parts) + 1)]
        self.seen: set[tuple[int, tuple[Patch, ...]]] = set()

    def below(self, limit: int, now: Sequence[Trial]) -> list[Trial] | None:
        """The cheapest alternatives within a limit, after those that stand in the way got more of them."""
        number = {start: n for n, start in enumerate(self.starts)}
        at = 0
        for trial in now:
            stop = at + len(trial.part.ops)
            if trial.peak > limit and number[stop] == number[at] + 1:
                self._extend(number[at], trial)
            at = stop
        while True:
            chosen = self.cheapest(limit)
            short = [n for n in range(len(self.parts)) if all(t.peak > limit for t in self.found[n, n + 1])]
            more = [self._extend(n, min(self.found[n, n + 1], key=lambda t: (t.peak, t.extra))) for n in short]
            if chosen is not None or not any(more):
                return chosen if not any(more) else self.cheapest(limit)

    def _extend(self, number: int, trial: Trial) -> bool:
        """More alternatives of a segment, starting from one of them; whether that is new."""
        key = number, trial.part.patches
        if key in self.seen:
            return False
        if not any(segment == number for segment, _ in self.seen):
            self._join(number)
        self.seen.add(key)
        self.found[number, number + 1] += self.search.around(trial, self.starts[number])
        return True

    def _join(self, number: int) -> None:
        """The segment and its neighbours as one patch of the whole height."""
        for first in range(number, max(-1, number - _JOINED), -1):
            for stop in range(number + 1, min(len(self.parts), number + _JOINED) + 1):
                ops = tuple(op for trial in self.parts[first:stop] for op in trial.part.ops)
                if not self.search.is_closed(ops):
                    break
                if (first, stop) not in self.found or stop == first + 1:
                    found = self.found.setdefault((first, stop), [])
                    found += self.search.whole(ops, self.starts[first])

    def cheapest(self, limit: int | None) -> list[Trial] | None:
        """The alternatives within a limit that add the fewest multiply-accumulates, then those with low peaks."""
        runs: dict[int, list[tuple[int, Trial]]] = {}
        for (first, stop), trials in self.found.items():
            able = [trial for trial in trials if limit is None or trial.peak <= limit]
            if able:
                runs.setdefault(stop, []).append((first, min(able, key=lambda t: (t.extra, t.peak))))
        best: list[tuple[int, int, list[Trial]] | None] = [(0, 0, [])]
        for stop in range(1, len(self.parts) + 1):
            ways = []
            for first, trial in runs.get(stop, ()):
                before = best[first]
                if before is not None:
                    ways.append((before[0] + trial.extra, max(before[1], trial.peak), [*before[2], trial]))
            best.append(min(ways, key=lambda way: way[:2], default=None))
        return None if best[-1] is None else best[-1][2]


@lru_cache(maxsize=4)
def _search(
    graph: Graph,
    order: tuple[OpId, ...],
    keep_inputs: bool,
    traits: tuple[tuple[OpId, Traits], ...],
    elsewhere: tuple[TensorId, ...],
    whole: bool,
) -> _Search:
    """One search for all fronts that differ in their segments and limits only: what it has tried need not be again."""
    life = Life(graph, order, keep_inputs, dict(traits), elsewhere, whole)
    return _Search(graph, life, dict(traits), {op: row_rules(graph, op) for op in order})


@dataclass(frozen=True, slots=True)
class _Search:
    graph: Graph
    life: Life
    traits: Mapping[OpId, Traits]
    rules: Rules
    known: dict[Hashable, tuple[Trial, ...]] = field(default_factory=dict)

    def start(self, parts: Sequence[Segment]) -> list[Trial]:
        at, found = 0, []
        for part in parts:
            stop = at + len(part.ops)
            found.append(Trial(part, self.life.peak(at, stop, part) if part.order else self.life.plain(at), 0))
            at = stop
        return found

    def around(self, trial: Trial, start: int) -> tuple[Trial, ...]:
        """A segment with one patch more, or another one, around its largest line buffers; all that lower the peak."""
        part = trial.part
        key = start, part.ops, part.patches, tuple((part.rings or {}).items()), trial.peak, trial.extra
        if key not in self.known:
            self.known[key] = self._around(trial, start)
        return self.known[key]

    def _around(self, trial: Trial, start: int) -> tuple[Trial, ...]:
        tried: list[tuple[Patch, Trial]] = []

        def attempt(chain: tuple[OpId, ...], strips: int, band: int) -> None:
            patch = Patch(chain, strips, band)
            found = self._with(trial.part, start, patch)
            if found is not None and found.peak < trial.peak:
                tried.append((patch, found))

        for chain in self._chains(trial.part):
            for band in dict.fromkeys((1, self._height(chain[-1]))):
                attempt(chain, self._strips(chain)[-1], band)
        tried.sort(key=lambda pair: _worth(trial, pair[1]), reverse=True)
        for chain in list(dict.fromkeys(patch.ops for patch, _ in tried))[:_CLOSER]:
            height, strips = self._height(chain[-1]), self._strips(chain)
            for count in strips:
                for band in dict.fromkeys((*(band for band in _BANDS if band < height), height)):
                    attempt(chain, count, band)
        return tuple(found for _, found in tried)

    def whole(self, ops: tuple[OpId, ...], start: int) -> Iterator[Trial]:
        """Operators as one patch of the whole height, in different numbers of strips."""
        for strips in self._strips(ops) if len(ops) > 1 else ():
            found = self._trial(ops, start, (Patch(ops, strips, self._height(ops[-1])),))
            if found is not None:
                yield found

    def _with(self, part: Segment, start: int, patch: Patch) -> Trial | None:
        """A segment with a patch in place of those that it overlaps."""
        apart = [other for other in part.patches if not set(other.ops) & set(patch.ops)]
        return self._trial(part.ops, start, (*apart, patch))

    def _trial(self, ops: tuple[OpId, ...], start: int, patches: tuple[Patch, ...]) -> Trial | None:
        stop = start + len(ops)
        made = segment(self.graph, ops, self.rules, self.life.kept(stop), traits=self.traits, patches=patches)
        if made is None:
            return None
        extra = sum(extra_macs(self.graph, patch, self.rules) for patch in patches)
        return Trial(made, self.life.peak(start, stop, made), extra)

    def _chains(self, part: Segment) -> Iterator[tuple[OpId, ...]]:
        """Chains around the largest line buffer, or strip, of a segment that is read by one operator only."""
        size = {t: kept * self._row(t) for t, kept in (part.rings or {}).items()}
        for patch in part.patches:
            size |= {t: (part.rings or {})[t] * row for t, row in strip_bytes(self.graph, patch).items()}
        for tensor in sorted(size, key=lambda t: (-size[t], t))[:2]:
            place = next((n for n, op in enumerate(part.ops) if self.graph.ops[op].outputs[0] == tensor), None)
            if place is None:
                continue
            for first in range(place, max(-1, place - _REACH - 1), -1):
                for end in range(place + 2, min(len(part.ops), place + 2 + _REACH) + 1):
                    chain = part.ops[first:end]
                    if self.is_closed(chain):
                        yield chain

    def is_closed(self, chain: Sequence[OpId]) -> bool:
        """Whether operators are a chain that can be a patch, and nobody else reads what is between them."""
        if not is_chain(self.graph, chain, self.rules):
            return False
        inside = {self.graph.ops[op].outputs[0] for op in chain[:-1]}
        readers = [t for op in self.graph.ops for t in op.inputs if t in inside]
        return len(readers) == len(inside) and not inside & set(self.graph.outputs)

    def _strips(self, chain: Sequence[OpId]) -> tuple[int, ...]:
        """How many strips there may be, each of the least widest strip that so many can have."""
        width = self.graph.results(self.graph.ops[chain[-1]])[0].shape[2]
        counts = {-(-width // columns) for columns in (*_COLUMNS, width)}
        return tuple(sorted(count for count in counts if count <= MOST_STRIPS))

    def _height(self, op: OpId) -> int:
        return self.graph.results(self.graph.ops[op])[0].shape[1]

    def _row(self, tensor: TensorId) -> int:
        return self.graph.tensors[tensor].nbytes // self.graph.tensors[tensor].shape[1]


def _worth(before: Trial, after: Trial) -> tuple[float, int]:
    """Bytes that are saved per multiply-accumulate; then bytes."""
    return (before.peak - after.peak) / max(1, after.extra - before.extra), -after.peak
