# SPDX-License-Identifier: Apache-2.0
"""Which patches need how much less memory, and what they cost in multiply-accumulates (rung 6).

The segment with the highest peak decides. In it the patches around its largest line buffer are tried, then how many
strips and rows at a time; the one that saves most per multiply-accumulate is taken, and then the next segment has the
highest peak. Every step is a point of the front; it ends where no patch helps.

Source: patches as such are those of J. Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep
Learning", NeurIPS 2021, section 3; here they are a part of a segment whose other tensors have line buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from thimble.ir import Graph, OpId, Rows, TensorId
from thimble.patches import Patch, extra_macs, is_chain, strip_bytes
from thimble.streaming import Life, Segment, Traits, row_rules, segment

MOST_STEPS = 24
_REACH = 4  # operators before and behind a line buffer that a patch may begin and end with
_STRIPS = (1, 2, 3, 4, 6, 8, 12, 16)
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
) -> Iterator[tuple[Segment, ...]]:
    """The segments with more and more patches, each time with a lower peak; not the segments as they are.

    Args:
        graph: what is computed.
        parts: its segments.
        traits: of the kernels.
        keep_inputs: the caller's inputs are left alone.
        most: multiply-accumulates that may be added in all; None: any number.
    """
    order = [op for part in parts for op in part.ops]
    search = _Search(graph, Life(graph, order, keep_inputs, traits), traits, {op: row_rules(graph, op) for op in order})
    now = search.start(parts)
    for _ in range(MOST_STEPS):
        worst = max(range(len(now)), key=lambda n: now[n].peak)
        others = max((trial.peak for n, trial in enumerate(now) if n != worst), default=0)
        spent = sum(trial.extra for n, trial in enumerate(now) if n != worst)
        room = None if most is None else most - spent
        better = search.better(now, worst, others, room)
        if better is None:
            return
        now = [*now[:worst], better, *now[worst + 1 :]]
        yield tuple(trial.part for trial in now)


@dataclass(frozen=True, slots=True)
class _Search:
    graph: Graph
    life: Life
    traits: Mapping[OpId, Traits]
    rules: Rules

    def start(self, parts: Sequence[Segment]) -> list[Trial]:
        at, found = 0, []
        for part in parts:
            stop = at + len(part.ops)
            found.append(Trial(part, self.life.peak(at, stop, part) if part.order else self.life.plain(at), 0))
            at = stop
        return found

    def better(self, now: Sequence[Trial], worst: int, others: int, room: int | None) -> Trial | None:
        """The segment with one patch more, so that most bytes are saved per multiply-accumulate."""
        trial = now[worst]
        start = sum(len(other.part.ops) for other in now[:worst])
        chains = list(self._chains(trial.part))
        rough = [self._with(trial, start, Patch(chain, self._strips(chain)[-1], 1)) for chain in chains]
        able = [found for found in rough if found is not None and found.peak < trial.peak]
        best: Trial | None = None
        for found in sorted(able, key=lambda found: _worth(trial, found, others))[-2:]:
            chain, strips, band = found.part.patches[-1].ops, found.part.patches[-1].strips, 1
            for bands, widths in (((*_BANDS, self._height(chain[-1])), (strips,)), ((0,), self._strips(chain))):
                tried = (
                    self._with(trial, start, Patch(chain, count, rows or band)) for rows in bands for count in widths
                )
                fitting = [t for t in tried if t is not None and t.peak < trial.peak and _within(t.extra, room)]
                fitting += [best] if best is not None else []
                best = max(fitting, key=lambda t: _worth(trial, t, others), default=None)
                if best is not None and best.part.patches[-1].ops == chain:
                    band = best.part.patches[-1].band
        return best

    def _with(self, trial: Trial, start: int, patch: Patch) -> Trial | None:
        """A segment with a patch in place of those that it overlaps."""
        part = trial.part
        apart = [other for other in part.patches if not set(other.ops) & set(patch.ops)]
        stop = start + len(part.ops)
        patches = (*apart, patch)
        kept = self.life.kept(stop)
        made = segment(self.graph, part.ops, self.rules, kept, traits=self.traits, patches=patches)
        if made is None:
            return None
        extra = sum(extra_macs(self.graph, other, self.rules) for other in patches)
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
                    if is_chain(self.graph, chain, self.rules) and self._is_closed(chain):
                        yield chain

    def _is_closed(self, chain: Sequence[OpId]) -> bool:
        """Whether nobody else reads what is between the operators of a chain."""
        inside = {self.graph.ops[op].outputs[0] for op in chain[:-1]}
        readers = [t for op in self.graph.ops for t in op.inputs if t in inside]
        return len(readers) == len(inside) and not inside & set(self.graph.outputs)

    def _strips(self, chain: Sequence[OpId]) -> tuple[int, ...]:
        width = self.graph.results(self.graph.ops[chain[-1]])[0].shape[2]
        return tuple(strips for strips in _STRIPS if strips == 1 or 2 * strips <= width)

    def _height(self, op: OpId) -> int:
        return self.graph.results(self.graph.ops[op])[0].shape[1]

    def _row(self, tensor: TensorId) -> int:
        return self.graph.tensors[tensor].nbytes // self.graph.tensors[tensor].shape[1]


def _within(extra: int, room: int | None) -> bool:
    return room is None or extra <= room


def _worth(before: Trial, after: Trial, others: int) -> tuple[float, int]:
    """Bytes that are saved, as far as no other segment needs them, per multiply-accumulate; then bytes."""
    saved = before.peak - max(after.peak, others)
    return saved / max(1, after.extra - before.extra), -after.peak
