# SPDX-License-Identifier: Apache-2.0
"""Choosing memories with CP-SAT: each arena as high as the most bytes that live at once, or as a cut says.

One worker, a fixed seed and a budget of CP-SAT's deterministic time: the same choice on every machine.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thimble.errors import InternalError
from thimble.placement import Item, PlacementProblem

if TYPE_CHECKING:
    from ortools.sat.python import cp_model


class Goal(enum.Enum):
    """What is minimised."""

    FIRST = 0  # the first part of the cost
    SECOND = 1  # the second part, where the first has a limit
    EXCESS = 2  # the bytes that are missing


@dataclass(frozen=True, slots=True)
class Cut:
    """Items that need an arena of at least this height when they are in one memory.

    Not `proven`: the packer's budget ran out before it knew. A bound that was found with such a cut is none.
    """

    items: tuple[int, ...]
    height: int
    proven: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """Per item its memory and its home, per memory the banks that are on."""

    memories: tuple[int, ...]
    homes: tuple[int | None, ...]
    banks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What CP-SAT found within the budget, the lower bound of the goal, and the deterministic time it took.

    `impossible`: there is provably nothing to be found.
    """

    choice: Choice | None
    bound: int
    spent: float
    impossible: bool = False


@dataclass(frozen=True, slots=True)
class _Model:
    """Variables by (item, memory), (item, memory that lasts) and (memory, bank)."""

    model: cp_model.CpModel
    where: dict[tuple[int, int], Any]
    home: dict[tuple[int, int], Any]
    on: dict[tuple[int, int], Any]


def choose(
    problem: PlacementProblem,
    cuts: Sequence[Cut],
    goal: Goal,
    *,
    budget: float,
    limit: int | None = None,
    hint: Sequence[int] | None = None,
) -> Chosen:
    """Memories, homes and banks at the least cost.

    Args:
        problem: items and memories.
        cuts: what is known about arenas beyond their live bytes.
        goal: what is minimised.
        budget: of deterministic time.
        limit: of the first part of the cost.
        hint: a memory per item, to start from.
    """
    from ortools.sat.python import cp_model

    built = _built(problem, cuts, goal, limit)
    for (item, memory), variable in built.where.items() if hint is not None else ():
        built.model.add_hint(variable, hint is not None and hint[item] == memory)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.linearization_level = 2  # knapsacks: their linear relaxation is nearly tight
    solver.parameters.max_deterministic_time = budget
    status = solver.solve(built.model)
    if status == cp_model.MODEL_INVALID:
        raise InternalError(f"the placement model is not sound: {built.model.validate()}")
    spent = float(solver.deterministic_time)
    if status == cp_model.INFEASIBLE:
        return Chosen(None, 0, spent, impossible=True)
    bound = max(0, round(solver.best_objective_bound))
    if status == cp_model.UNKNOWN:
        return Chosen(None, bound, spent)
    return Chosen(_choice(problem, built, solver), bound, spent)


def _choice(problem: PlacementProblem, built: _Model, solver: cp_model.CpSolver) -> Choice:
    memories = {item: memory for (item, memory), at in built.where.items() if solver.boolean_value(at)}
    homes = {item: memory for (item, memory), at in built.home.items() if solver.boolean_value(at)}
    count = range(len(problem.items))
    banks = tuple(
        sum(solver.boolean_value(built.on[m, b]) for b in range(len(memory.banks)))
        for m, memory in enumerate(problem.memories)
    )
    return Choice(tuple(memories[i] for i in count), tuple(homes.get(i) for i in count), banks)


def _built(problem: PlacementProblem, cuts: Sequence[Cut], goal: Goal, limit: int | None) -> _Model:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    legal = [(i, m) for i, item in enumerate(problem.items) for m, cost in enumerate(item.costs) if cost is not None]
    where = {(i, m): model.new_bool_var(f"item{i}_in{m}") for i, m in legal}
    for i in range(len(problem.items)):
        model.add_exactly_one(where[key] for key in legal if key[0] == i)
    banks = [(m, b) for m, memory in enumerate(problem.memories) for b in range(len(memory.banks))]
    on = {(m, b): model.new_bool_var(f"on{m}_{b}") for m, b in banks}
    for m, b in banks:
        if b:
            model.add_implication(on[m, b], on[m, b - 1])
    built = _Model(model, where, _homes(model, problem, where), on)
    excess = _add_capacities(built, problem, cuts, relaxed=goal is Goal.EXCESS)
    first, second = _cost(built, problem, 0), _cost(built, problem, 1)
    if limit is not None:
        model.add(first <= limit)
    model.minimize({Goal.FIRST: first, Goal.SECOND: second, Goal.EXCESS: excess}[goal])
    return built


def _homes(model: cp_model.CpModel, problem: PlacementProblem, where: dict[tuple[int, int], Any]) -> dict[Any, Any]:
    """Which memory keeps an item without power: the one that it is used from, if that one can."""
    lasting = [m for m, memory in enumerate(problem.memories) if memory.lasting]
    kept = [i for i, item in enumerate(problem.items) if item.lasting and lasting]
    home = {(i, m): model.new_bool_var(f"home{i}_in{m}") for i in kept for m in lasting}
    for i in kept:
        model.add_exactly_one(home[i, m] for m in lasting)
    for key, at in home.items():
        if key in where:
            model.add_implication(where[key], at)
    return home


def _add_capacities(built: _Model, problem: PlacementProblem, cuts: Sequence[Cut], *, relaxed: bool) -> Any:
    """Per memory: what always exists, and the arena, are within the banks that are on. Returns the bytes above."""
    peaks = list(_peaks(problem.items))
    padded = problem.padded()
    most = 2 * sum(padded)
    excess = []
    for m, memory in enumerate(problem.memories):
        arena = built.model.new_int_var(0, most if relaxed else memory.capacity, f"arena{m}")
        for peak in peaks:
            built.model.add(_bytes(built, problem, peak, m) <= arena)
        for cut in cuts:
            if all((i, m) in built.where for i in cut.items):
                built.model.add(arena >= cut.height).only_enforce_if([built.where[i, m] for i in cut.items])
        over = built.model.new_int_var(0, most if relaxed else 0, f"over{m}")
        room = sum(bank.size * built.on[m, b] for b, bank in enumerate(memory.banks))
        static = sum(
            padded[i] * (built.home if (i, m) in built.home else built.where)[i, m]
            for i, item in enumerate(problem.items)
            if item.lifetime is None and ((i, m) in built.home or (i, m) in built.where)
        )
        built.model.add(static + arena <= room + over)
        excess.append(over)
    return sum(excess)


def _bytes(built: _Model, problem: PlacementProblem, items: Sequence[int], memory: int) -> Any:
    return sum(problem.items[i].size * built.where[i, memory] for i in items if (i, memory) in built.where)


def _peaks(items: Sequence[Item]) -> Iterator[tuple[int, ...]]:
    """Sets of items that live at one step, without those that are part of another one."""
    lives = [(i, item.lifetime) for i, item in enumerate(items) if item.lifetime is not None]
    stops = {life.stop for _, life in lives}
    for step in sorted({life.start for _, life in lives}):
        # Nothing more is born before the next item dies: only the last birth before a death can be a maximum.
        following = [life.start for _, life in lives if life.start > step]
        if not following or any(step < stop <= min(following) for stop in stops):
            yield tuple(i for i, life in lives if life.start <= step < life.stop)


def _cost(built: _Model, problem: PlacementProblem, part: int) -> Any:
    items = [
        (cost[part], built.where[i, m])
        for i, item in enumerate(problem.items)
        for m, cost in enumerate(item.costs)
        if cost is not None
    ]
    banks = [
        (bank.cost[part], built.on[m, b])
        for m, memory in enumerate(problem.memories)
        for b, bank in enumerate(memory.banks)
    ]
    return sum(cost * variable for cost, variable in (*items, *banks))


__all__ = ["Choice", "Chosen", "Cut", "Goal", "choose"]
