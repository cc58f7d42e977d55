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
from dataclasses import dataclass, field

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

    def reads_in_step(self, tensor: TensorId) -> bool:
        """Whether each turn reads the row of an operand that it computes of the result, and no other."""
        if self.accumulates or self.band > 1:
            return False
        same = tuple((turn, turn + 1) for turn in range(self.turns))
        return all(rows == same for operand, rows in self.reads if operand == tensor)

    def written_after(self, turns: int) -> int:
        """Rows of the result that are there after so many turns."""
        return int(turns == self.turns) if self.accumulates else min(turns * self.band, self.rows)


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


def row_order(members: Sequence[Member], rings: Sequence[Ring]) -> RowOrder:
    """The order for `members`, of which the results in `rings` are needed by other members only."""
    kept = [_widest_window(members, ring) for ring in rings]
    while True:
        found = _Demand(members, rings, kept).run()
        if isinstance(found, tuple):
            return RowOrder(found, tuple(kept))
        kept[found] += 1


def _widest_window(members: Sequence[Member], ring: Ring) -> int:
    reads = (rows for member in members for tensor, rows in member.reads if tensor in ring.tensors)
    return max([1, *(end - first for rows in reads for first, end in rows)])


@dataclass(slots=True)
class _Demand:
    """The turns that have been taken, and what the next ones wait for."""

    members: Sequence[Member]
    rings: Sequence[Ring]
    kept: Sequence[int]
    done: dict[OpId, int] = field(default_factory=dict)
    order: list[OpId] = field(default_factory=list)
    by_op: dict[OpId, Member] = field(default_factory=dict)
    makers: dict[TensorId, Member] = field(default_factory=dict)
    ring_of: dict[TensorId, int] = field(default_factory=dict)
    readers: list[list[tuple[OpId, list[int]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.done = {member.op: 0 for member in self.members}
        self.by_op = {member.op: member for member in self.members}
        self.makers = {member.result: member for member in self.members}
        self.ring_of = {t: number for number, ring in enumerate(self.rings) for t in ring.tensors}
        self.readers = [
            [(m.op, [first for first, _ in rows]) for m in self.members for t, rows in m.reads if t in ring.tensors]
            for ring in self.rings
        ]

    def run(self) -> tuple[OpId, ...] | int:
        """The order; or the ring that needs a row more."""
        sinks = [m for m in self.members if m.result not in self.ring_of] or [self.members[-1]]
        turns = max(m.turns for m in sinks)
        for turn in range(1, turns + 1):  # those whose results are kept come to an end together
            for sink in sinks:
                while self.done[sink.op] < -(-turn * sink.turns // turns):
                    ring = self._take(sink.op)
                    if ring is not None:
                        return ring
        for member in self.members:  # rows that nobody needs, below the last window
            while self.done[member.op] < member.turns:
                ring = self._take(member.op)
                if ring is not None:
                    return ring
        return tuple(self.order)

    def _take(self, wanted: OpId) -> int | None:
        """The next turn of an operator, after all that it waits for; or the ring in which there is too little room."""
        waiting: list[tuple[OpId, int | None]] = [(wanted, None)]
        while waiting:
            op = waiting[-1][0]
            blocker = next(self._blockers(op), None)
            if blocker is None:
                waiting.pop()
                self.done[op] += 1
                self.order.append(op)
                continue
            place = next((n for n, (other, _) in enumerate(waiting) if other == blocker[0]), None)
            if place is None:
                waiting.append(blocker)
                continue
            full = [ring for _, ring in (*waiting[place + 1 :], blocker) if ring is not None]
            if not full:
                raise InternalError("rows that need each other")
            return min(full, key=lambda ring: (self.rings[ring].row_bytes, ring))
        return None

    def _blockers(self, op: OpId) -> Iterator[tuple[OpId, int | None]]:
        """Who must take a turn before the operator's next one, and the ring that is full if that is why."""
        member, turn = self.by_op[op], self.done[op]
        for tensor, rows in member.reads:
            maker = self.makers.get(tensor)
            if maker is not None and maker.written_after(self.done[maker.op]) < rows[turn][1]:
                yield maker.op, None
        ring = self.ring_of.get(member.result)
        if ring is None:
            return
        lost = member.written_after(turn + 1) - 1 - self.kept[ring]
        for reader, firsts in self.readers[ring]:
            if lost >= 0 and self.done[reader] < bisect.bisect_right(firsts, lost):
                yield reader, ring
