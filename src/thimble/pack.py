# SPDX-License-Identifier: Apache-2.0
"""Problem to Solution: dynamic storage allocation by the native core (core/pack.h).

The core divides a problem into parts that never meet, bounds each from below, tries fast heuristics, and searches
where these leave a gap. What it returns is checked by nothing here: `verify_pack.verify_solution` does that.
"""

from __future__ import annotations

from thimble import _core
from thimble.errors import OptionError
from thimble.memory import BufferId, Infeasible, Problem, Solution

DEFAULT_BUDGET = 200_000
"""Search nodes: enough for every instance of MiniMalloc's benchmark within its capacity, a hundredfold."""

_MAX_INTEGER = 2**62
_NONE = -1


def pack(problem: Problem, *, budget: int = DEFAULT_BUDGET) -> Solution | Infeasible:
    """Place all buffers: as low as possible, or within the capacity if there is one.

    Without a capacity the height is minimised, and `Solution.lower_bound` is what has been proven about it. With a
    capacity the first placement within it is returned; when there is provably none, `Infeasible` names an irreducible
    set of buffers that clash. With several arenas every capacity is met, earlier arenas are preferred, and the height
    is the sum of the arenas' heights, which is not minimised.

    Args:
        problem: the buffers, arenas and distances. A distance of a pair applies while both live; distances of zero
            must not form a cycle.
        budget: search nodes to visit at most, besides 16 per buffer; 0 for heuristics only. The result depends on
            nothing else, so it is reproducible. When the budget runs out, one arena still gets the lowest placement
            found, whose height may exceed the capacity.

    Raises:
        OptionError: the problem makes no sense, sizes add up to more than 2^62 bytes, or the budget ran out before
            several arenas could be filled.
    """
    position = {buffer.id: index for index, buffer in enumerate(problem.buffers)}
    if len(position) != len(problem.buffers):
        raise OptionError("cannot pack: two buffers have the same id")
    packing = _search(problem, position, budget)
    if packing.status == _core.Status.INFEASIBLE:
        return Infeasible(tuple(problem.buffers[index].id for index in packing.witness), packing.excess)
    if packing.status == _core.Status.EXHAUSTED:
        raise OptionError(f"cannot pack: no placement found within {budget} search nodes; allow more, or more memory")
    return Solution(
        offsets=tuple(packing.offsets),
        height=packing.height,
        lower_bound=packing.lower_bound,
        method=packing.method,
        nodes=packing.nodes,
        arenas=tuple(packing.arenas),
    )


def _search(problem: Problem, position: dict[BufferId, int], budget: int) -> _core.Packing:
    _check_range(problem, budget)
    try:
        distances = [(position[d.early], position[d.late], d.least) for d in problem.distances]
    except KeyError as error:
        raise OptionError(f"cannot pack: a distance names the buffer {error}, which does not exist") from error
    try:
        return _core.pack(
            [
                (b.size, b.alignment, b.lifetime.start, b.lifetime.stop, _NONE if b.offset is None else b.offset)
                for b in problem.buffers
            ],
            [(i, gap.start, gap.stop) for i, b in enumerate(problem.buffers) for gap in b.gaps],
            [(i, arena) for i, b in enumerate(problem.buffers) for arena in b.arenas],
            [_NONE if arena.capacity is None else arena.capacity for arena in problem.arenas],
            distances,
            budget,
        )
    except (ValueError, OverflowError) as error:
        raise OptionError(f"cannot {error}") from error


def _check_range(problem: Problem, budget: int) -> None:
    """Refuse what the core's integers cannot hold, or what stands for "none" there."""
    for b in problem.buffers:
        numbers = (b.size, b.alignment, b.lifetime.start, b.lifetime.stop, *b.arenas)
        times = tuple(t for gap in b.gaps for t in (gap.start, gap.stop))
        if any(abs(n) > _MAX_INTEGER for n in numbers + times) or not 0 <= (b.offset or 0) <= _MAX_INTEGER:
            raise OptionError(f"cannot pack: buffer {b.id} has a number out of range (0 to 2^62)")
    if any(not 0 <= (arena.capacity or 0) <= _MAX_INTEGER for arena in problem.arenas):
        raise OptionError("cannot pack: a capacity is out of range (0 to 2^62)")
    if any(abs(d.least) > _MAX_INTEGER for d in problem.distances):
        raise OptionError("cannot pack: a distance is out of range (0 to 2^62)")
    if not 0 <= budget <= _MAX_INTEGER:
        raise OptionError(f"the budget must be between 0 and 2^62 search nodes, not {budget}")
