# SPDX-License-Identifier: Apache-2.0
"""In which order the operators of a segment compute their rows, so that few rows of each tensor are kept.

Every operator computes its rows in turn. A turn is put off until the rows that it reads are there, and until there is
room for what it writes: of a tensor only so many rows are kept, and who still needs the row that would be overwritten
comes first. Both are met on demand, depth first. Room is first given to the widest window of each tensor only; where
operators then wait for each other, a row more is kept of the cheapest tensor that is to blame.

    rows of a kept  0 1 2 .         a residual block, two 3x3 convolutions: b = conv(a), c = conv(b), d = a + c
    rows of b kept    0 1 2
    row of c            0 -> d      c needs no row of its own: d takes its place
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from thimble.errors import InternalError
from thimble.ir import OpId, Rows, TensorId


@dataclass(frozen=True, slots=True)
class Member:
    """An operator of a segment: `reads` says per operand which rows each turn reads.

    A turn computes a row of the result, or `band` rows; of an operator that `accumulates`, only the last turn does.
    `rows` is the result's height.
    """

    op: OpId
    result: TensorId
    turns: int
    reads: tuple[tuple[TensorId, Rows], ...]
    rows: int
    accumulates: bool = False
    band: int = 1

    def __hash__(self) -> int:
        """Cheap, as orders are looked up by their members."""
        return hash((self.op, self.turns, self.band))

    def reads_in_step(self, tensor: TensorId) -> bool:
        """Whether each turn reads the row of an operand that it computes of the result, and no other."""
        if self.accumulates or self.band > 1:
            return False
        same = tuple((turn, turn + 1) for turn in range(self.turns))
        return all(rows == same for operand, rows in self.reads if operand == tensor)

    def written_after(self, turns: int) -> int:
        """Rows of the result that are there after so many turns."""
        return int(turns == self.turns) if self.accumulates else min(turns * self.band, self.rows)

    def written_at(self, steps: Sequence[int]) -> tuple[int, ...]:
        """Per row of the result the step that writes it, of the steps at which the turns are taken."""
        if self.accumulates:
            return (steps[-1],)
        return tuple([step for step in steps for _ in range(self.band)][: self.rows])


@dataclass(frozen=True, slots=True)
class Ring:
    """Tensors that share a line buffer, each computed in place of the one before; and the size of a row."""

    tensors: tuple[TensorId, ...]
    row_bytes: int


@dataclass(frozen=True, slots=True)
class RowOrder:
    """Operators, one entry per turn, and how many rows are kept of each ring."""

    order: tuple[OpId, ...]
    kept: tuple[int, ...]


@lru_cache(maxsize=4096)
def row_order(members: tuple[Member, ...], rings: tuple[Ring, ...]) -> RowOrder:
    """The order for `members`, of which the results in `rings` are needed by other members only."""
    kept = [_widest_window(members, ring) for ring in rings]
    demand = _Demand(members, rings, kept)
    while (full := demand.run()) is not None:
        kept[full] += 1
        demand.back_to(full)
    return RowOrder(tuple(members[place].op for place in demand.order), tuple(kept))


def _widest_window(members: Sequence[Member], ring: Ring) -> int:
    return max([1, *(_window(rows) for member in members for tensor, rows in member.reads if tensor in ring.tensors)])


@lru_cache(maxsize=4096)
def _window(rows: Rows) -> int:
    return max(end - first for first, end in rows)


@lru_cache(maxsize=4096)
def last_turns(rows: Rows, height: int) -> Sequence[int]:
    """Per row of an operand the last turn that reads it, -1 for none."""
    last = [-1] * height
    for turn, (first, end) in enumerate(rows):
        last[first:end] = [turn] * (end - first)
    return last


@lru_cache(maxsize=4096)
def _turns_making(rows: Rows, maker_turns: int, band: int, accumulates: bool) -> Sequence[int]:
    """Per turn of a reader the turns after which the maker has made all rows that it reads."""
    if accumulates:
        return [maker_turns] * len(rows)
    return [-(-end // band) for _, end in rows]


@lru_cache(maxsize=4096)
def _turns_reading(rows: Rows, height: int) -> list[int]:
    """Per row the turns that read it or one before it: after these it may be overwritten."""
    firsts = [first for first, _ in rows]
    return [bisect.bisect_right(firsts, row) for row in range(height)]


Check = tuple[int, Sequence[int], int]
"""(a member's place, the turns it must have taken before each turn, the ring that is full otherwise or -1)."""


class _Demand:
    """The turns that have been taken, and what the next ones wait for. Members are named by their places."""

    def __init__(self, members: Sequence[Member], rings: Sequence[Ring], kept: Sequence[int]) -> None:
        self.members = members
        self.rings = rings
        self.kept = kept
        self.order: list[int] = []
        self.done = [0] * len(members)
        self.waiting: list[tuple[int, int]] = []  # who waits for the next one, and the ring that is full if that is why
        self.makers = {member.result: place for place, member in enumerate(members)}
        self.ring_of = {t: number for number, ring in enumerate(rings) for t in ring.tensors}
        self.readers = [
            [(place, rows) for place, m in enumerate(members) for t, rows in m.reads if t in ring.tensors]
            for ring in rings
        ]
        self.checks = [self._checks(member) for member in members]
        self.sinks = [n for n, m in enumerate(members) if m.result not in self.ring_of] or [len(members) - 1]
        self.first_full: dict[int, tuple[int, list[int], list[tuple[int, int]]]] = {}

    def back_to(self, ring: int) -> None:
        """Go on, a ring being larger, from where it was full for the first time: until there nothing is different."""
        turns, done, waiting = self.first_full[ring]
        self.first_full = {other: then for other, then in self.first_full.items() if then[0] < turns}
        self.order, self.done, self.waiting = self.order[:turns], done, waiting
        for place, member in enumerate(self.members):
            if self.ring_of.get(member.result) == ring:
                self.checks[place] = self._checks(member)

    def run(self) -> int | None:
        """Take all turns; or the ring that needs a row more."""
        full = self._take() if self.waiting else None
        for place, turn in self._wanted() if full is None else ():
            while self.done[place] < turn:
                self.waiting = [(place, -1)]
                full = self._take()
                if full is not None:
                    return full
        return full

    def _wanted(self) -> Iterator[tuple[int, int]]:
        """Members, and up to which turn they are to get."""
        turns = max(self.members[place].turns for place in self.sinks)
        for turn in range(1, turns + 1):  # those whose results are kept come to an end together
            for place in self.sinks:
                yield place, -(-turn * self.members[place].turns // turns)
        for place, member in enumerate(self.members):  # rows that nobody needs, below the last window
            yield place, member.turns

    def _take(self) -> int | None:
        """The turns of those who wait, the last one's first, after all that they wait for; or a ring that is full."""
        waiting, done, order, checks = self.waiting, self.done, self.order, self.checks
        asked = {place for place, _ in waiting}
        while waiting:
            place = waiting[-1][0]
            turn = done[place]
            for check in checks[place]:
                if done[check[0]] < check[1][turn]:
                    break
            else:
                waiting.pop()
                asked.remove(place)
                done[place] = turn + 1
                order.append(place)
                continue
            other, _, ring = check
            if ring >= 0 and ring not in self.first_full:
                self.first_full[ring] = len(order), done.copy(), waiting.copy()
            if other in asked:
                return self._to_blame(other, ring)
            waiting.append((other, ring))
            asked.add(other)
        return None

    def _to_blame(self, other: int, ring: int) -> int:
        """The cheapest full ring of those on account of which members wait for each other."""
        place = next(n for n, (who, _) in enumerate(self.waiting) if who == other)
        full = [number for _, number in (*self.waiting[place + 1 :], (other, ring)) if number >= 0]
        if not full:
            raise InternalError("rows that need each other")
        return min(full, key=lambda number: (self.rings[number].row_bytes, number))

    def _checks(self, member: Member) -> list[Check]:
        """Who must have taken how many turns before each turn of a member."""
        found = []
        for tensor, rows in member.reads:
            maker = self.makers.get(tensor)
            if maker is not None:
                by = self.members[maker]
                found.append((maker, _turns_making(rows, by.turns, by.band, by.accumulates), -1))
        ring = self.ring_of.get(member.result)
        if ring is None:
            return found
        for place, rows in self.readers[ring]:
            found.append((place, _turns_freeing(member, _turns_reading(rows, member.rows), self.kept[ring]), ring))
        return found


def _turns_freeing(member: Member, reading: list[int], kept: int) -> list[int]:
    """Per turn of a member those of a reader after which there is room for what it writes."""
    if member.band == 1 and not member.accumulates:
        return [0] * min(kept, member.turns) + reading[: max(0, member.turns - kept)]
    lost = (member.written_after(turn + 1) - 1 - kept for turn in range(member.turns))
    return [reading[row] if row >= 0 else 0 for row in lost]
