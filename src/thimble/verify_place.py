# SPDX-License-Identifier: Apache-2.0
"""Independent check of a placement: every item where it may be, none over another, nothing above what is on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from thimble.errors import InternalError
from thimble.placement import Item, PlacementProblem, PlacementResult


def verify_placement(problem: PlacementProblem, result: PlacementResult) -> None:
    """Check a placement against its problem.

    Raises:
        InternalError: names the first item or memory that is wrong.
    """
    fault = next(_faults(problem, result), None)
    if fault is not None:
        raise InternalError(f"placement: {fault}")


def _faults(problem: PlacementProblem, result: PlacementResult) -> Iterator[str]:
    for item, m, offset in zip(problem.items, result.memories, result.offsets, strict=True):
        if item.costs[m] is None:
            yield f"'{item.name}' may not be in {problem.memories[m].name}"
        if offset < 0 or offset % item.alignment:
            yield f"'{item.name}' is at {offset}, no multiple of {item.alignment}"
    lasting = [m for m, memory in enumerate(problem.memories) if memory.lasting]
    for item, m, home in zip(problem.items, result.memories, result.homes, strict=True):
        if item.lasting and lasting and (home not in lasting or (m in lasting and home != m)):
            yield f"nothing keeps '{item.name}' without power"
    for m in range(len(problem.memories)):
        yield from _faults_in(problem, result, m)
    costs = [item.costs[m] or (0, 0) for item, m in zip(problem.items, result.memories, strict=True)]
    for memory, on in zip(problem.memories, result.banks, strict=True):
        costs += [bank.cost for bank in memory.banks[:on]]
    if (sum(c[0] for c in costs), sum(c[1] for c in costs)) != result.cost:
        yield f"its cost is not {result.cost}"


def _faults_in(problem: PlacementProblem, result: PlacementResult, m: int) -> Iterator[str]:
    memory = problem.memories[m]
    inside = [
        (offset, item)
        for item, where, offset in zip(problem.items, result.memories, result.offsets, strict=True)
        if where == m and item.size
    ]
    inside.sort(key=lambda placed: placed[0])
    for number, (low, one) in enumerate(inside):
        for high, other in itertools.islice(inside, number + 1, None):
            if high >= low + one.size:
                break
            if _meet(one, other):
                yield f"'{one.name}' and '{other.name}' overlap in {memory.name}"
    top = max((offset + item.size for offset, item in inside), default=0)
    copied = zip(problem.items, result.memories, result.homes, strict=True)
    copies = sum(item.size for item, where, home in copied if home == m != where)
    always = sum(item.size for _, item in inside if item.lifetime is None)
    if max(top, always + copies + result.arenas[m]) > result.used[m]:
        yield f"{memory.name} uses more than {result.used[m]} bytes"
    if result.used[m] > sum(bank.size for bank in memory.banks[: result.banks[m]]):
        yield f"{memory.name} uses {result.used[m]} bytes, more than its banks that are on have"


def _meet(one: Item, other: Item) -> bool:
    return one.lifetime is None or other.lifetime is None or one.lifetime.overlaps(other.lifetime)
