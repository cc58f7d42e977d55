# SPDX-License-Identifier: Apache-2.0
"""What planning leaves out, or takes from memory, changes nothing: plain versions of the same give the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_streaming import networks
from thimble import zoo
from thimble.ir import Graph, Model, OpId
from thimble.kernel import Choice, Flavour
from thimble.lower import lowered, traits_of
from thimble.row_order import Member, Ring, RowOrder, row_order
from thimble.streaming import Life, Segment, partitions, row_rules, segment


def plain_order(members: Sequence[Member], rings: Sequence[Ring]) -> RowOrder:
    """`row_order` from the start whenever a row more is kept."""
    reads = [(ring, rows) for ring in rings for m in members for t, rows in m.reads if t in ring.tensors]
    kept = {ring: max([1, *(end - first for r, rows in reads if r is ring for first, end in rows)]) for ring in rings}
    while (full := (turns := Turns(members, kept)).run()) is not None:
        kept[full] += 1
    return RowOrder(tuple(turns.order), tuple(kept[ring] for ring in rings))


class Turns:
    """Turns taken on demand, everything worked out anew for each."""

    def __init__(self, members: Sequence[Member], kept: dict[Ring, int]) -> None:
        self.members, self.kept = members, kept
        self.done = {m.op: 0 for m in members}
        self.order: list[OpId] = []
        self.ring_of = {t: ring for ring in kept for t in ring.tensors}

    def run(self) -> Ring | None:
        """The ring that is too small, if one is."""
        sinks = [m for m in self.members if m.result not in self.ring_of] or [self.members[-1]]
        turns = max(m.turns for m in sinks)
        wanted = [(sink, -(-turn * sink.turns // turns)) for turn in range(1, turns + 1) for sink in sinks]
        for member, least in [*wanted, *((m, m.turns) for m in self.members)]:
            while self.done[member.op] < least:
                if (ring := self.take(member)) is not None:
                    return ring
        return None

    def take(self, wanted: Member) -> Ring | None:
        waiting: list[tuple[Member, Ring | None]] = [(wanted, None)]
        while waiting:
            member = waiting[-1][0]
            blocker = next(self.blockers(member), None)
            if blocker is None:
                waiting.pop()
                self.done[member.op] += 1
                self.order.append(member.op)
            elif blocker[0] in [other for other, _ in waiting]:
                place = [other for other, _ in waiting].index(blocker[0])
                full = [ring for _, ring in (*waiting[place + 1 :], blocker) if ring is not None]
                return min(full, key=lambda ring: (ring.row_bytes, list(self.kept).index(ring)))
            else:
                waiting.append(blocker)
        return None

    def blockers(self, member: Member) -> Iterator[tuple[Member, Ring | None]]:
        for tensor, rows in member.reads:
            makers = (maker for maker in self.members if maker.result == tensor)
            for maker in makers:
                if maker.written_after(self.done[maker.op]) < rows[self.done[member.op]][1]:
                    yield maker, None
        ring = self.ring_of.get(member.result)
        if ring is None:
            return
        lost = member.written_after(self.done[member.op] + 1) - 1 - self.kept[ring]
        for reader in self.members:
            needing = [sum(first <= lost for first, _ in rows) for t, rows in reader.reads if t in ring.tensors]
            if lost >= 0 and self.done[reader.op] < max(needing, default=0):
                yield reader, ring


@given(model=networks())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_orders_of_rows(model: Model) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen: list[tuple[tuple[Member, ...], tuple[Ring, ...]]] = []

        def watched(members: tuple[Member, ...], rings: tuple[Ring, ...]) -> RowOrder:
            seen.append((members, rings))
            return row_order(members, rings)

        patch.setattr("thimble.streaming.row_order", watched)
        partitions(model.main, [op.id for op in model.main.ops])
    for members, rings in seen:
        assert row_order(members, rings) == plain_order(members, rings)


@given(model=networks(), work_space=st.sampled_from([None, 0]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_cuts_into_segments(model: Model, work_space: int | None) -> None:
    """All segments built, none left out because it could not be the best."""
    graph = model.main
    order = [op.id for op in graph.ops]
    traits = traits_of(graph, Flavour.DSP, dict.fromkeys(order, Choice(Flavour.DSP, work_space)))
    life = Life(graph, order, False, traits)
    rules = {op: row_rules(graph, op) for op in order}
    wanted = []
    for by_peak in (False, True):
        best: list[tuple[int, int, tuple[Segment, ...]]] = [(0, 0, ())]
        for stop in range(1, len(order) + 1):
            found = []
            for start in range(stop - 1, -1, -1):
                ops = tuple(order[start:stop])
                part = segment(graph, ops, rules, life.kept(stop), traits=traits)
                if part is None and len(ops) > 1:
                    break
                part = part or Segment(ops)
                peak = life.peak(start, stop, part)
                assert peak >= life.least(start, stop)
                before, spent, parts = best[start]
                price = len(ops) * peak if by_peak else len(ops) - 1
                found.append((max(before, peak), spent + price, (*parts, part)))
            best.append(min(found, key=lambda cut: cut[:2]))
        wanted.append(best[-1][2])
    assert partitions(graph, order, traits=traits) == tuple(wanted[:1] if wanted[0] == wanted[1] else wanted)


@pytest.mark.parametrize("flavour", list(Flavour), ids=lambda f: f.value)
def test_lowered_before(flavour: Flavour) -> None:
    """Whatever was asked for before, limits of work space lead to the same kernels."""

    def calls(graph: Graph, limit: int | None) -> list[object]:
        choices = {op.id: Choice(flavour, limit) for op in graph.ops}
        parts = [Segment((op.id,)) for op in graph.ops]
        return [unit.calls for unit in lowered(graph, parts, flavour, choices)]

    graph = zoo.build("resnet_8", resolution=16).main
    limits = [None, *range(4096, -1, -157), *range(0, 4096, 511), None]
    for number, limit in enumerate(limits):
        fresh = replace(graph, name=f"fresh {number}")
        assert calls(graph, limit) == calls(fresh, limit)
