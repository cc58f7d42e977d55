# SPDX-License-Identifier: Apache-2.0
"""Types of the native core (core/bindings.cpp): lists of integers in, lists of integers out."""

from collections.abc import Sequence

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
