# SPDX-License-Identifier: Apache-2.0
"""Placement problem to placement: items to memories at the least cost, with a certificate.

CP-SAT chooses memories for arenas as high as the most bytes that live at once (`place_model`). The packer then says how
high they really are. Where one is too high, the items that cannot share so few bytes become a cut, and CP-SAT chooses
again: every choice is at most as good as the best placement, so that the first one that packs is the best.

Source: Hooker and Ottosson, Logic-based Benders decomposition, Mathematical Programming 96, 2003.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from thimble.errors import OptionError
from thimble.memory import Arena, Buffer, BufferId, Infeasible, Problem, Solution
from thimble.pack import pack
from thimble.place_model import Choice, Cut, Goal, choose
from thimble.placement import Cost, NoRoom, PlacementProblem, PlacementResult
from thimble.verify_pack import verify_solution
from thimble.verify_place import verify_placement

DEFAULT_BUDGET = 3.0
"""CP-SAT's deterministic time: about seconds of a desktop's core, but the same on every machine."""
_ROUNDS = 50  # of choosing and packing; more than a few are rare
_LARGEST = 2**50  # of a size or a cost: CP-SAT adds them up in 64 bits


def place(
    problem: PlacementProblem, *, known: Sequence[PlacementResult] = (), budget: float = DEFAULT_BUDGET
) -> PlacementResult | NoRoom:
    """The placement of least cost, or the best that was found, with its gap.

    Args:
        problem: items and memories.
        known: placements of the same problem; the result is none worse.
        budget: of deterministic time for the first part of the cost, and at most as much for the second.

    Raises:
        OptionError: a number makes no sense, or the budget ran out before anything was found.
    """
    _check(problem)
    cuts: list[Cut] = []
    best = min(known, key=lambda result: result.cost, default=None)
    found, bound = _minimised(problem, cuts, Goal.FIRST, best, budget)
    if isinstance(found, NoRoom):
        return found
    best = _better(best, found)
    if best is None:
        raise OptionError(f"no placement found with a budget of {budget:g}; allow more")
    rest = budget if best.cost[0] <= bound else budget / 8  # where the first is open, the second hardly matters
    settled, _ = _minimised(problem, cuts, Goal.SECOND, best, rest)
    if isinstance(settled, PlacementResult):
        best = _better(best, settled) or best
    verify_placement(problem, best)
    return replace(best, lower_bound=min(bound, best.cost[0]))


def _better(one: PlacementResult | None, other: PlacementResult | None) -> PlacementResult | None:
    if one is None or other is None:
        return one or other
    return other if other.cost < one.cost else one


def _minimised(
    problem: PlacementProblem, cuts: list[Cut], goal: Goal, start: PlacementResult | None, budget: float
) -> tuple[PlacementResult | NoRoom | None, int]:
    """Choose and pack in turn; the placement, None where none was found, and a lower bound. Adds to `cuts`."""
    bound = 0
    limit = start.cost[0] if start is not None and goal is Goal.SECOND else None
    hint = None if start is None else start.memories
    for number in range(1, _ROUNDS + 1):
        chosen = choose(problem, cuts, goal, budget=budget, limit=limit, hint=hint)
        budget -= chosen.spent
        sure = all(cut.proven for cut in cuts)
        if chosen.impossible and sure and goal is Goal.FIRST:
            return NoRoom(choose(problem, cuts, Goal.EXCESS, budget=max(1.0, budget)).bound), bound
        bound = max(bound, chosen.bound) if sure else bound
        if chosen.choice is None:
            break
        packed = _packed(problem, _rehomed(problem, chosen.choice), cuts)
        if packed is not None:
            return replace(packed, rounds=number), bound
        hint = chosen.choice.memories
        if budget <= 0:
            break
    return None, bound


def _rehomed(problem: PlacementProblem, choice: Choice) -> Choice:
    """The same choice with all copies in the first memories that have room; as it was where that cannot be."""
    padded = problem.padded()
    room = [
        memory.capacity if memory.lasting and all(bank.cost == (0, 0) for bank in memory.banks) else -1
        for memory in problem.memories
    ]
    for item, m, size in zip(problem.items, choice.memories, padded, strict=True):
        room[m] = -1 if item.lifetime is not None else room[m] - size
    homes = list(choice.homes)
    for i, (home, m) in enumerate(zip(choice.homes, choice.memories, strict=True)):
        if home is not None and home != m:
            first = next((n for n, left in enumerate(room) if left >= padded[i]), None)
            if first is None:
                return choice
            homes[i] = first
            room[first] -= padded[i]
    banks = [
        len(y.banks) if m in homes else on for m, (y, on) in enumerate(zip(problem.memories, choice.banks, strict=True))
    ]
    return Choice(choice.memories, tuple(homes), tuple(banks))


def _packed(problem: PlacementProblem, choice: Choice, cuts: list[Cut]) -> PlacementResult | None:
    """Offsets for a choice; None, and one cut more at least, where an arena is too high for the banks that are on."""
    offsets = [0] * len(problem.items)
    arenas, used = [], []
    padded = problem.padded()
    fits = True
    for m, memory in enumerate(problem.memories):
        top = 0
        for i, item in enumerate(problem.items):
            if item.lifetime is None and m in (choice.memories[i], choice.homes[i]):
                if choice.memories[i] == m:
                    offsets[i] = top
                top += padded[i]
        inside = [i for i, item in enumerate(problem.items) if item.lifetime is not None and choice.memories[i] == m]
        room = sum(bank.size for bank in memory.banks[: choice.banks[m]]) - top
        solution = _arena(problem, inside, room, cuts)
        fits = fits and solution.height <= room
        for i, offset in zip(inside, solution.offsets, strict=True):
            offsets[i] = top + offset
        arenas.append(solution.height)
        used.append(top + solution.height)
    if not fits:
        return None
    banks = tuple(_banks_on(problem, m, height) for m, height in enumerate(used))
    cost = total_cost(problem, choice.memories, banks)
    return PlacementResult(choice.memories, tuple(offsets), choice.homes, tuple(used), tuple(arenas), banks, cost)


def _arena(problem: PlacementProblem, inside: Sequence[int], room: int, cuts: list[Cut]) -> Solution:
    """The lowest arena of these items; if it is higher than the room, a cut says what cannot share it."""
    lowest = _pack(problem, inside, None)
    if lowest.height <= room:
        return lowest
    within = pack(_problem(problem, inside, room))
    if isinstance(within, Solution) and within.height <= room:
        return within
    clash = [inside[n] for n in within.witness] if isinstance(within, Infeasible) else list(inside)
    known = isinstance(within, Infeasible) or lowest.lower_bound > room
    cuts.append(Cut(tuple(clash), max(_pack(problem, clash, None).lower_bound, room + 1), known))
    return lowest


def _pack(problem: PlacementProblem, inside: Sequence[int], room: int | None) -> Solution:
    solution = pack(_problem(problem, inside, room))
    assert isinstance(solution, Solution)  # an arena without a capacity is never too small
    verify_solution(_problem(problem, inside, room), solution)
    return solution


def _problem(problem: PlacementProblem, inside: Sequence[int], room: int | None) -> Problem:
    items = [problem.items[i] for i in inside]
    buffers = [
        Buffer(BufferId(n), item.size, item.lifetime, item.alignment)
        for n, item in enumerate(items)
        if item.lifetime is not None
    ]
    return Problem(tuple(buffers), (Arena("arena", room),))


def _banks_on(problem: PlacementProblem, memory: int, height: int) -> int:
    starts = itertools.accumulate((bank.size for bank in problem.memories[memory].banks), initial=0)
    return sum(start < height for start in itertools.islice(starts, len(problem.memories[memory].banks)))


def total_cost(problem: PlacementProblem, memories: Sequence[int], banks: Sequence[int]) -> Cost:
    """What a placement costs: a memory per item, and per memory how many of its banks are on."""
    costs = [item.costs[m] or (0, 0) for item, m in zip(problem.items, memories, strict=True)]
    costs += [bank.cost for memory, on in zip(problem.memories, banks, strict=True) for bank in memory.banks[:on]]
    return sum(cost[0] for cost in costs), sum(cost[1] for cost in costs)


def _check(problem: PlacementProblem) -> None:
    alignment = problem.alignment
    for item in problem.items:
        if len(item.costs) != len(problem.memories):
            raise OptionError(f"cannot place '{item.name}': a cost per memory is needed, or None")
        if item.alignment < 1 or not 0 <= item.size < _LARGEST or item.size % item.alignment:
            raise OptionError(f"cannot place '{item.name}': its {item.size} bytes are no multiple of its alignment")
        if alignment % item.alignment:
            raise OptionError(f"cannot place '{item.name}': its alignment does not divide the largest one")
        if any(not 0 <= part < _LARGEST for cost in item.costs if cost is not None for part in cost):
            raise OptionError(f"cannot place '{item.name}': a cost is out of range (0 to 2^50)")
    for memory in problem.memories:
        if any(not 0 <= n < _LARGEST for bank in memory.banks for n in (bank.size, *bank.cost)):
            raise OptionError(f"cannot place in '{memory.name}': a bank's size or cost is out of range (0 to 2^50)")
