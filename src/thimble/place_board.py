# SPDX-License-Identifier: Apache-2.0
"""A model on a board: which memory holds what, what that costs, and what whole memories would.

    parts with a price per memory ─→ PlacementProblem ─place→ PlacementResult ─figured→ Placed: time and energy

How long banks leak depends on the placement. The solver takes the least time that any placement could reach, so that
its lower bound holds; what is reported is computed with the time that the placement takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thimble.board import Board, Region
from thimble.compile import compile_model, flavour_of
from thimble.cost import Price, cycle_energy
from thimble.errors import OptionError
from thimble.ir import Model
from thimble.place import DEFAULT_BUDGET, place, total_cost
from thimble.place_parts import BoardMemory, CodeSizes, Parts, access_of, memories_of, program_parts, runtime_parts
from thimble.placement import Bank, Cost, Item, Kind, Memory, NoRoom, PlacementProblem, PlacementResult
from thimble.program import Program
from thimble.runtimes import OURS, core_named
from thimble.target import target_named

Scale = tuple[float, float]
"""What a millisecond and a microjoule count in the objective."""
Objective = Literal["latency", "energy", "mix"]
OBJECTIVES: tuple[Objective, ...] = ("latency", "energy", "mix")
PLACED_RUNG = 3
"""Of the ladder: results take the place of operands that die, which costs nothing."""
_PARTS = 2**33  # the finest step of a cost is this fraction of the largest sum: CP-SAT's arithmetic stays exact


@dataclass(frozen=True, slots=True)
class Setting:
    """What is placed, where, and how often it runs."""

    board: Board
    runtime: str
    memories: tuple[BoardMemory, ...]
    parts: Parts
    period: float | None = None

    @property
    def cycle_pj(self) -> float:
        """Picojoules per cycle of the core."""
        return cycle_energy(self.board, core_named(self.board.target)).value

    @property
    def sleep(self) -> float:
        """Microwatts between two inferences, memories not included."""
        power = self.board.core.sleep_power
        return power.value if power and self.period is not None else 0.0

    def milliseconds(self, price: Price) -> float:
        return 1e3 * price.cycles / self.board.core.clock_hz.value

    def microjoules(self, price: Price) -> float:
        """Of the core and of accesses; without what the core would take if it slept during these cycles."""
        return (price.cycles * self.cycle_pj + price.access) / 1e6 - self.sleep * self.milliseconds(price) / 1e3


@dataclass(frozen=True, slots=True)
class Placed:
    """A placement on a board with its figures; `gap` is by how much of itself the objective might be lower."""

    setting: Setting
    result: PlacementResult
    latency_ms: float
    energy_uj: float
    gap: float = 0.0

    @property
    def proven(self) -> bool:
        """Whether no placement is better, to within a hundred-thousandth."""
        return self.gap < 1e-5


@dataclass(frozen=True, slots=True)
class Pair:
    """A memory for all weights and one for all activations; `placed` None where they do not fit."""

    weights: str
    activations: str
    placed: Placed | None


def objective_named(name: str, option: str = "--objective") -> Objective:
    """The objective of that name.

    Raises:
        OptionError: no such objective.
    """
    for objective in OBJECTIVES:
        if objective == name:
            return objective
    raise OptionError(f"{option} {name}: there are {', '.join(OBJECTIVES)}")


def setting_of(model: Model, board: Board, *, runtime: str = OURS, period: float | None = None) -> Setting:
    """What there is to place of a model.

    Raises:
        OptionError: no such runtime, or nothing is known about the board's core.
        UnsupportedOperatorError: Thimble cannot compile an operator.
    """
    if period is not None and not (math.isfinite(period) and period > 0):
        raise OptionError(f"--period: {period:g} s is no time between two inferences")
    memories = memories_of(board)
    if runtime != OURS:
        return Setting(board, runtime, memories, runtime_parts(model, board, runtime, memories), period)
    program = compile_model(model, flavour=flavour_of(target_named(board.target)), rung=PLACED_RUNG)
    return program_setting(program, board, period=period)


def program_setting(
    program: Program,
    board: Board,
    *,
    sizes: CodeSizes | None = None,
    keep_inputs: bool = False,
    period: float | None = None,
) -> Setting:
    """What there is to place of a program; its code and its stack have the sizes given, or estimated ones."""
    memories = memories_of(board)
    parts = program_parts(program, board, memories, sizes=sizes, keep_inputs=keep_inputs)
    return Setting(board, OURS, memories, parts, period)


def placed_best(
    setting: Setting, objective: Objective, pairs: Sequence[Pair], *, budget: float = DEFAULT_BUDGET
) -> Placed | NoRoom:
    """The best placement of all, none worse than the pairs, which are of the same setting."""
    wholes = [pair.placed for pair in pairs if pair.placed is not None]
    scale = _scale(setting, objective, wholes)
    problem, grain = _problem(setting, scale)
    known = [_recosted(problem, whole.result) for whole in wholes]
    found = place(problem, known=known, budget=budget)
    if isinstance(found, NoRoom):
        return found
    best = min(
        [figured(setting, found), *wholes], key=lambda placed: _value(scale, placed.latency_ms, placed.energy_uj)
    )
    if setting.period is not None and setting.period * 1e3 < best.latency_ms:
        raise OptionError(f"--period: {setting.period:g} s is too short, an inference takes {best.latency_ms:.3g} ms")
    value = _value(scale, best.latency_ms, best.energy_uj)
    bound = _base_value(setting, scale) + found.lower_bound * grain
    return replace(best, gap=max(0.0, 1 - bound / value) if value else 0.0)


def _scale(setting: Setting, objective: Objective, wholes: Sequence[Placed]) -> Scale:
    """A mix counts latency and energy as multiples of the least that whole memories reach."""
    if objective != "mix":
        return (1.0, 0.0) if objective == "latency" else (0.0, 1.0)
    base = setting.parts.base
    latency = min((w.latency_ms for w in wholes), default=setting.milliseconds(base))
    energy = min((w.energy_uj for w in wholes), default=setting.microjoules(base))
    return 0.5 / max(latency, 1e-9), 0.5 / max(energy, 1e-9)


def _value(scale: Scale, milliseconds: float, microjoules: float) -> float:
    return scale[0] * milliseconds + scale[1] * microjoules


def _base_value(setting: Setting, scale: Scale) -> float:
    """What every placement costs."""
    base, least = setting.parts.base, _least_milliseconds(setting)
    constant = _always_on(setting, least) + setting.sleep * (setting.period or 0.0)
    return _value(scale, setting.milliseconds(base), setting.microjoules(base) + constant)


def _least_milliseconds(setting: Setting) -> float:
    """With everything in its fastest memory, as if that were large enough."""
    fastest = [min((p.cycles for p in part.prices if p is not None), default=0.0) for part in setting.parts.parts]
    return setting.milliseconds(setting.parts.base + Price(sum(fastest)))


def _problem(setting: Setting, scale: Scale) -> tuple[PlacementProblem, float]:
    """The problem in integers, and what one unit of the first part of a cost is."""
    least = _least_milliseconds(setting)
    parts = [
        [None if p is None else _costs(scale, setting.milliseconds(p), setting.microjoules(p)) for p in part.prices]
        for part in setting.parts.parts
    ]
    banks = [
        [_costs(scale, 0.0, bank_energy(setting, m, n, least)) for n in range(len(banks_of(memory)))]
        for m, memory in enumerate(setting.memories)
    ]
    grains = [_grain([*parts, *banks], which) for which in (0, 1)]

    def whole(cost: tuple[float, float] | None) -> Cost | None:
        return None if cost is None else (int(cost[0] / grains[0]), int(cost[1] / grains[1]))

    items = [
        Item(part.name, part.kind, part.size, tuple(map(whole, costs)), part.lifetime, part.alignment, part.lasting)
        for part, costs in zip(setting.parts.parts, parts, strict=True)
    ]
    memories = [
        Memory(
            memory.name,
            tuple(Bank(size, whole(cost) or (0, 0)) for (_, size), cost in zip(banks_of(memory), costs, strict=True)),
            memory.lasting,
        )
        for memory, costs in zip(setting.memories, banks, strict=True)
    ]
    return PlacementProblem(tuple(items), tuple(memories)), grains[0]


def _costs(scale: Scale, milliseconds: float, microjoules: float) -> tuple[float, float]:
    """What is minimised, and what decides between equals: energy if time is minimised, else time."""
    return _value(scale, milliseconds, microjoules), milliseconds if scale[1] else microjoules


def _grain(costs: Sequence[Sequence[tuple[float, float] | None]], which: int) -> float:
    """The unit in which costs become integers: rounded down, so that a lower bound stays one."""
    worst = sum(max((cost[which] for cost in row if cost is not None), default=0.0) for row in costs)
    return worst / _PARTS or 1.0


def banks_of(memory: BoardMemory) -> list[tuple[Region, int]]:
    """Banks of a memory with their region; one that cannot be switched is a bank for free."""
    found = []
    for region in memory.regions:
        size = int(region.bank_size.value) if region.bank_size else region.bytes
        starts = range(0, region.bytes, size)
        found += [(region, min(size, region.bytes - start)) for start in starts]
    return found


def _recosted(problem: PlacementProblem, result: PlacementResult) -> PlacementResult:
    """The same placement with its cost in another objective."""
    return replace(result, cost=total_cost(problem, result.memories, result.banks), lower_bound=0)


def pairs_of(setting: Setting) -> tuple[Pair, ...]:
    """Every legal pair of one memory for all weights and one for all activations.

    Of memories that are alike, the largest stands for all. The stack is with the activations; code stays where it is
    stored, or goes with the weights where nothing is stored.
    """
    problem, _ = _problem(setting, (1.0, 0.0))
    kinds: tuple[Kind, ...] = ("weights", "tensor", "code")
    legal = {kind: _largest_alike(setting, _allowed(problem, kind)) for kind in kinds}
    pairs = []
    for w in legal["weights"] or legal["code"]:
        for a in legal["tensor"]:
            stored = [m for m in legal["code"] if setting.memories[m].lasting]
            code = stored[0] if stored else w
            chosen = problem.only(("weights",), w).only(("tensor", "scratch", "stack"), a).only(("code",), code)
            found = place(chosen, budget=1.0) if _possible(chosen) else NoRoom(0)
            placed = None if isinstance(found, NoRoom) else figured(setting, _recosted(problem, found))
            pairs.append(Pair(setting.memories[w].name, setting.memories[a].name, placed))
    return tuple(pairs)


def _largest_alike(setting: Setting, memories: Sequence[int]) -> list[int]:
    """Of memories in which an access takes the same, the largest."""
    best: dict[tuple[object, ...], int] = {}
    for m in memories:
        alike = access_of(setting.memories[m].like)
        if alike not in best or setting.memories[m].bytes > setting.memories[best[alike]].bytes:
            best[alike] = m
    return sorted(best.values())


def _allowed(problem: PlacementProblem, kind: Kind) -> list[int]:
    """Memories in which everything of a kind may be."""
    items = [item for item in problem.items if item.kind == kind]
    return [m for m in range(len(problem.memories)) if items and all(item.costs[m] is not None for item in items)]


def _possible(problem: PlacementProblem) -> bool:
    return all(any(cost is not None for cost in item.costs) for item in problem.items)


def figured(setting: Setting, result: PlacementResult) -> Placed:
    """What a placement takes, leakage over its own time."""
    price = setting.parts.base
    for part, memory in zip(setting.parts.parts, result.memories, strict=True):
        price = price + (part.prices[memory] or Price(0.0))
    milliseconds = setting.milliseconds(price)
    on = [(m, bank) for m, count in enumerate(result.banks) for bank in range(count)]
    banks = sum(bank_energy(setting, m, bank, milliseconds) for m, bank in on)
    rest = setting.sleep * (setting.period or 0.0) + _always_on(setting, milliseconds)
    return Placed(setting, result, milliseconds, setting.microjoules(price) + banks + rest)


def bank_energy(setting: Setting, memory: int, bank: int, milliseconds: float) -> float:
    """Microjoules of a bank that is on: it leaks during the inference, and keeps its bytes until the next one."""
    region, size = banks_of(setting.memories[memory])[bank]
    return size / region.bytes * _leaked(setting, region, milliseconds) if region.bank_size else 0.0


def _always_on(setting: Setting, milliseconds: float) -> float:
    """Microjoules of the memories that cannot be switched off."""
    regions = [region for memory in setting.memories for region in memory.regions if region.bank_size is None]
    return sum(_leaked(setting, region, milliseconds) for region in regions)


def _leaked(setting: Setting, region: Region, milliseconds: float) -> float:
    awake = region.leakage.value if region.leakage else 0.0
    asleep = min(awake, region.retention.value) if region.retention else awake
    rest = max(0.0, (setting.period or 0.0) * 1e3 - milliseconds) if region.volatile else 0.0
    return (awake * milliseconds + asleep * rest) / 1e3
