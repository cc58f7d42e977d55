# SPDX-License-Identifier: Apache-2.0
"""A packing problem with less time in it: the same pairs of buffers meet, at fewer steps.

A segment that runs row by row goes through the same few sets of live buffers again and again, and most of these sets
are parts of others. Which buffers meet is all that packing depends on, so one step is kept per set that is no part of
another; buffers have gaps where they are not in it.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from thimble.memory import Buffer, Interval, Problem


def condensed(problem: Problem) -> Problem:
    """The problem with one step per largest set of buffers that live together, in the order of their first meeting.

    Every solution of one is a solution of the other, with the same height.
    """
    rows = _largest(_live_sets(problem.buffers))
    moments: list[list[int]] = [[] for _ in problem.buffers]
    for step, live in enumerate(rows):
        for number, steps in enumerate(moments):
            if live >> number & 1:
                steps.append(step)
    return replace(
        problem, buffers=tuple(_at(buffer, steps) for buffer, steps in zip(problem.buffers, moments, strict=True))
    )


def _live_sets(buffers: tuple[Buffer, ...]) -> list[int]:
    """The different sets of buffers that live together, as bits, by their first moment."""
    change: dict[int, int] = {}
    for number, buffer in enumerate(buffers):
        edges = [
            buffer.lifetime.start,
            *(e for gap in buffer.gaps for e in (gap.start, gap.stop)),
            buffer.lifetime.stop,
        ]
        for edge in edges:
            change[edge] = change.get(edge, 0) ^ 1 << number
    live = 0
    found: dict[int, None] = {}
    for _, flips in sorted(change.items()):
        live ^= flips
        found[live] = None
    return list(found)


def _largest(sets: list[int]) -> list[int]:
    """Those that are not part of another."""
    kept: list[int] = []
    for live in sorted(sets, key=int.bit_count, reverse=True):
        if live and not any(live & other == live for other in kept):
            kept.append(live)
    keep = frozenset(kept)
    return [live for live in sets if live in keep]


def _at(buffer: Buffer, steps: list[int]) -> Buffer:
    """The buffer, in use at these steps; one that is never in use keeps its place in time."""
    if not steps:
        return replace(buffer, lifetime=Interval(0, 0), gaps=())
    gaps = tuple(Interval(a + 1, b) for a, b in itertools.pairwise(steps) if b > a + 1)
    return replace(buffer, lifetime=Interval(steps[0], steps[-1] + 1), gaps=gaps)
