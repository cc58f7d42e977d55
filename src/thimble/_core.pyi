# SPDX-License-Identifier: Apache-2.0
"""Types of the native core (core/bindings.cpp): lists of integers in, lists of integers out.

Input that makes no sense raises `ValueError`, sums beyond 2^62 bytes `OverflowError`, integers beyond 64 bits
`TypeError`; everything else is a value.
"""

import enum
from collections.abc import Sequence

class Status(enum.Enum):
    SOLVED = 0
    INFEASIBLE = 1
    EXHAUSTED = 2

class Packing:
    @property
    def status(self) -> Status: ...
    @property
    def offsets(self) -> list[int]: ...
    @property
    def arenas(self) -> list[int]: ...
    @property
    def height(self) -> int: ...
    @property
    def lower_bound(self) -> int: ...
    @property
    def nodes(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def witness(self) -> list[int]: ...
    @property
    def excess(self) -> int: ...

def tflm_greedy(
    sizes: Sequence[int], first: Sequence[int], last: Sequence[int], offline: Sequence[int]
) -> list[int]: ...
def live_sums(sizes: Sequence[int], starts: Sequence[int], stops: Sequence[int]) -> tuple[list[int], list[int]]: ...
def load_bound(sizes: Sequence[int], starts: Sequence[int], stops: Sequence[int]) -> int: ...
def order_search(
    scratch: Sequence[int],
    sizes: Sequence[int],
    producers: Sequence[int],
    held: Sequence[int],
    readers: tuple[Sequence[int], Sequence[int]],
    before: tuple[Sequence[int], Sequence[int]],
    budget: int,
) -> tuple[list[int], int, int, int]: ...
def pack(
    buffers: Sequence[tuple[int, int, int, int, int]],
    gaps: Sequence[tuple[int, int, int]],
    allowed: Sequence[tuple[int, int]],
    capacities: Sequence[int],
    distances: Sequence[tuple[int, int, int]],
    budget: int,
) -> Packing: ...
