# SPDX-License-Identifier: Apache-2.0
"""Check of a solution against its problem: slow, obvious, and independent of whatever made the solution."""

from __future__ import annotations

from collections.abc import Iterator

from thimble.errors import InternalError
from thimble.memory import Buffer, Interval, Problem, Solution


def verify_solution(problem: Problem, solution: Solution) -> None:
    """Raise unless every buffer lies where it may and no two share a byte at a step at which both are in use.

    Quadratic in the number of buffers that live together.

    Raises:
        InternalError: naming the first fault found.
    """
    for fault in faults(problem, solution):
        raise InternalError(f"packing ({solution.method}): {fault}")


def faults(problem: Problem, solution: Solution) -> Iterator[str]:
    """Everything that is wrong with a solution, in words."""
    count = len(problem.buffers)
    arenas = solution.arenas or (0,) * count
    if len(solution.offsets) != count or len(arenas) != count:
        yield f"{len(solution.offsets)} offsets and {len(arenas)} arenas for {count} buffers"
        return
    for buffer, offset, arena in zip(problem.buffers, solution.offsets, arenas, strict=True):
        yield from _misplaced(problem, buffer, offset, arena)
    yield from _clashes(problem, solution.offsets, arenas)
    yield from _wrong_height(problem, solution, arenas)


def _misplaced(problem: Problem, buffer: Buffer, offset: int, arena: int) -> Iterator[str]:
    if not 0 <= arena < len(problem.arenas) or (buffer.arenas and arena not in buffer.arenas):
        yield f"buffer {buffer.id} is in arena {arena}, which is not allowed"
        return
    if offset < 0 or offset % buffer.alignment:
        yield f"buffer {buffer.id} at {offset} is not at a multiple of {buffer.alignment}"
    if buffer.offset is not None and offset != buffer.offset:
        yield f"buffer {buffer.id} is at {offset}, not at its fixed offset {buffer.offset}"
    capacity = problem.arenas[arena].capacity
    if capacity is not None and offset + buffer.size > capacity:
        yield f"buffer {buffer.id} ends at {offset + buffer.size}, beyond the capacity {capacity}"


def _clashes(problem: Problem, offsets: tuple[int, ...], arenas: tuple[int, ...]) -> Iterator[str]:
    least = {(d.early, d.late): 0 for d in problem.distances}
    for d in problem.distances:
        least[d.early, d.late] = max(least[d.early, d.late], d.least)
    busy = [_in_use(buffer) for buffer in problem.buffers]
    by_start = sorted(range(len(offsets)), key=lambda i: problem.buffers[i].lifetime.start)
    live: list[int] = []
    for i in by_start:
        a = problem.buffers[i]
        live = [j for j in live if problem.buffers[j].lifetime.stop > a.lifetime.start]
        for j in live:
            b = problem.buffers[j]
            if arenas[i] != arenas[j] or not a.size or not b.size or not _meet(busy[i], busy[j]):
                continue
            a_first = offsets[j] - offsets[i] >= least.get((a.id, b.id), a.size)
            b_first = offsets[i] - offsets[j] >= least.get((b.id, a.id), b.size)
            if not a_first and not b_first:
                yield f"buffers {b.id} at {offsets[j]} and {a.id} at {offsets[i]} overlap while both are in use"
        live.append(i)


def _meet(a: list[Interval], b: list[Interval]) -> bool:
    """Whether two buffers are in use at one step; intervals ascend."""
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i].overlaps(b[j]):
            return True
        if a[i].stop <= b[j].stop:
            i += 1
        else:
            j += 1
    return False


def _in_use(buffer: Buffer) -> list[Interval]:
    """The lifetime without its gaps."""
    pieces, start = [], buffer.lifetime.start
    for gap in sorted((gap for gap in buffer.gaps if gap.start < gap.stop), key=lambda gap: gap.start):
        pieces.append(Interval(start, min(gap.start, buffer.lifetime.stop)))
        start = max(start, gap.stop)
    pieces.append(Interval(start, buffer.lifetime.stop))
    return [p for p in pieces if p.start < p.stop]


def _wrong_height(problem: Problem, solution: Solution, arenas: tuple[int, ...]) -> Iterator[str]:
    heights = [0] * len(problem.arenas)
    for buffer, offset, arena in zip(problem.buffers, solution.offsets, arenas, strict=True):
        if 0 <= arena < len(heights):
            heights[arena] = max(heights[arena], offset + buffer.size)
    if sum(heights) != solution.height:
        yield f"the height is {sum(heights)}, not {solution.height}"
    if solution.lower_bound > solution.height:
        yield f"the lower bound {solution.lower_bound} is above the height {solution.height}"
