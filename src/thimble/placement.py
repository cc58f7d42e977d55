# SPDX-License-Identifier: Apache-2.0
"""Which memory holds what, as values: the placement problem and its result, integers only.

Items that always exist (weights, code, the stack) stand one after another from the start of a memory; what lives for
some steps only (tensors, work space) shares an arena above them:

    memory   +--------+--------+-------+---------------------+-- - - - --+
             | weights| weights| stack | arena, packed       |    off    |
             +--------+--------+-------+---------------------+-- - - - --+
             bank 0, on                | bank 1, on          | bank 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thimble.memory import Interval

Cost = tuple[int, int]
"""What is minimised, and what decides between equals: such as picoseconds and femtojoules."""

Kind = Literal["weights", "tensor", "scratch", "code", "stack"]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that takes bytes of a memory.

    Attributes:
        name: what the user reads.
        kind: what it is; the solver does not look at it.
        size: bytes, a multiple of `alignment`.
        costs: per memory; None where it may not be.
        lifetime: steps during which it holds anything; None for always.
        alignment: its address is a multiple of this.
        lasting: its bytes must outlast power: where it is used from RAM, a memory that lasts holds a copy as large.
    """

    name: str
    kind: Kind
    size: int
    costs: tuple[Cost | None, ...]
    lifetime: Interval | None = None
    alignment: int = 1
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Bank:
    """A part of a memory that is switched by itself, and what it costs to have it on."""

    size: int
    cost: Cost = (0, 0)


@dataclass(frozen=True, slots=True)
class Memory:
    """Banks at adjacent addresses, filled from the first; those that nothing reaches into stay off."""

    name: str
    banks: tuple[Bank, ...]
    lasting: bool = False

    @property
    def capacity(self) -> int:
        return sum(bank.size for bank in self.banks)


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Items and memories. Where no memory lasts, `Item.lasting` asks for nothing."""

    items: tuple[Item, ...]
    memories: tuple[Memory, ...]

    @property
    def alignment(self) -> int:
        """All that always exists starts at a multiple of this, and so does each arena."""
        return max((item.alignment for item in self.items), default=1)

    def padded(self) -> tuple[int, ...]:
        """Per item that always exists, bytes up to where the next one may start."""
        alignment = self.alignment
        return tuple(-(-item.size // alignment) * alignment for item in self.items)

    def only(self, kinds: Sequence[Kind], memory: int) -> PlacementProblem:
        """The same problem where items of these kinds may be in one memory only."""
        return replace(self, items=tuple(_only(i, memory) if i.kind in kinds else i for i in self.items))


def _only(item: Item, memory: int) -> Item:
    return replace(item, costs=tuple(cost if m == memory else None for m, cost in enumerate(item.costs)))


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """Where each item is, with the certificate: the cost's first part against its lower bound.

    Attributes:
        memories: per item, the index of its memory.
        offsets: per item, bytes from the start of that memory.
        homes: per item, the memory that keeps its bytes without power; None where none needs to.
        used: per memory, bytes up to the top of the highest item.
        arenas: per memory, bytes of the arena among them.
        banks: per memory, how many are on, from the first.
        cost: of all items and banks.
        lower_bound: what has been proven about the first part of the cost.
        rounds: how often the memories were chosen; more than once where an arena was higher than its live bytes.
    """

    memories: tuple[int, ...]
    offsets: tuple[int, ...]
    homes: tuple[int | None, ...]
    used: tuple[int, ...]
    arenas: tuple[int, ...]
    banks: tuple[int, ...]
    cost: Cost
    lower_bound: int = 0
    rounds: int = 1

    @property
    def proven(self) -> bool:
        return self.cost[0] <= self.lower_bound

    @property
    def gap(self) -> float:
        """By how much of itself the cost might be lower."""
        return max(0, self.cost[0] - self.lower_bound) / max(1, self.cost[0])


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The items do not fit, as a value: in all memories together at least so many bytes are missing."""

    excess: int


__all__ = ["Bank", "Cost", "Item", "Kind", "Memory", "NoRoom", "PlacementProblem", "PlacementResult"]
