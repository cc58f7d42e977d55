# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for packing problems: small, crowded, and with every kind of constraint."""

from __future__ import annotations

from hypothesis import strategies as st

from thimble.memory import Arena, Buffer, BufferId, Distance, Interval, Problem

STEPS = 6
LARGEST = 4


@st.composite
def intervals(draw: st.DrawFn, start: int = 0, stop: int = STEPS) -> Interval:
    low = draw(st.integers(start, stop - 1))
    return Interval(low, draw(st.integers(low + 1, stop)))


@st.composite
def buffers(draw: st.DrawFn, index: int, arenas: int = 1, plain: bool = False) -> Buffer:
    size = draw(st.integers(1, LARGEST))
    lifetime = draw(intervals())
    if plain:
        return Buffer(BufferId(index), size, lifetime)
    alignment = draw(st.sampled_from((1, 1, 2, 3, 4)))
    gaps = draw(st.lists(intervals(lifetime.start, lifetime.stop), max_size=1)) if draw(st.booleans()) else []
    fixed = draw(st.integers(0, 2)) * alignment if draw(st.integers(0, 5)) == 0 else None
    allowed = draw(st.sets(st.integers(0, arenas - 1))) if arenas > 1 else set()
    size = 0 if draw(st.integers(0, 19)) == 0 else size
    return Buffer(BufferId(index), size, lifetime, alignment, tuple(gaps), fixed, tuple(sorted(allowed)))


@st.composite
def distances(draw: st.DrawFn, count: int) -> tuple[Distance, ...]:
    """Distances from earlier to later buffers, so that those of zero form no cycle."""
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=3))
    return tuple(
        Distance(BufferId(early), BufferId(late), draw(st.integers(0, LARGEST)))
        for early, late in sorted({(min(p), max(p)) for p in pairs if p[0] != p[1]})
    )


@st.composite
def problems(
    draw: st.DrawFn,
    max_buffers: int = 6,
    plain: bool = False,
    arenas: int = 1,
    bounded: bool | None = None,
    distant: bool = False,
) -> Problem:
    """Draw a packing problem.

    Args:
        draw: supplied by hypothesis.
        max_buffers: how many buffers at most.
        plain: sizes and lifetimes only.
        arenas: how many arenas.
        bounded: with or without capacities; None for either.
        distant: with pairwise distances.
    """
    count = draw(st.integers(1, max_buffers))
    drawn = tuple(draw(buffers(i, arenas, plain)) for i in range(count))
    with_capacity = draw(st.booleans()) if bounded is None else bounded
    capacities = [draw(st.integers(1, 3 * LARGEST)) if with_capacity else None for _ in range(arenas)]
    return Problem(
        drawn,
        tuple(Arena(f"arena {i}", capacity) for i, capacity in enumerate(capacities)),
        draw(distances(count)) if distant else (),
    )
