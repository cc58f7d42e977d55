# SPDX-License-Identifier: Apache-2.0
"""Which kernels each operator gets: variants of every unit, what they execute and need, and the best of their plans.

segments ─variants→ units, from the flavour's best kernels down to those without work space
         ─counted→ instructions of each       ─needs→ bytes of arena that each needs while it runs
         ─front→ for every limit of the arena the fastest variants within it, each planned; the goal takes one
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import resources
from itertools import accumulate, pairwise
from typing import Generic, TypeVar

import msgspec

from thimble.arena import arena_problem
from thimble.condense import condensed
from thimble.errors import OptionError
from thimble.instructions import NOTHING, costs_of, traffic_of
from thimble.ir import Graph, OpId
from thimble.kernel import Choice, Flavour
from thimble.lower import Slot, Unit, lowered, traits_of_calls, work_space_of
from thimble.memory import Problem, Solution
from thimble.pack import pack
from thimble.patches import row_rates
from thimble.streaming import NO_TRAITS, Segment, Traits, row_rules, segment

Choices = Mapping[OpId, Choice]
Counts = tuple[tuple[int, ...], ...]
"""Numbers of variants: instructions, or bytes."""
P = TypeVar("P")

_NODES = 2_000  # search nodes for what lives during one unit
_WEAKER = {Flavour.MVE: (Flavour.DSP,)}
"""Flavours whose kernels run on the same cores; portable ones run everywhere."""

_PARAMETERS = 105  # bytes of flash for the parameters of a call of a shared kernel, as measured on kws and vww
_PER_MAC = {"_mve": 1.0, "_dsp": 4.0, "cmsis_nn": 2.0}  # high, so that kernels that were measured win
_TYPICAL = {Flavour.PORTABLE: "cortex-m3", Flavour.MVE: "cortex-m55", Flavour.CMSIS_NN_MVE: "cortex-m55"}


def core_of(flavour: Flavour, core: str | None) -> str:
    """The core whose costs count: the one asked for if they are known, else one for which the flavour is made."""
    if core is not None and _priced(core):
        return core
    return _TYPICAL.get(flavour, "cortex-m4")


@cache
def _priced(core: str) -> bool:
    try:
        costs_of(core)
    except OptionError:
        return False
    return True


class Code(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of a kernel: one copy for all calls, and a copy for one call in which its parameters are constants."""

    shared: int
    apart: int


_UNKNOWN_CODE = Code(2_000, 500)  # of a kernel that was not measured; an estimate


class Goal(enum.Enum):
    """What the choice of kernels is to make small."""

    BALANCED = "balanced"  # arena times instructions: one per cent of one is worth one per cent of the other
    SPEED = "speed"  # instructions
    RAM = "ram"  # the arena
    SIZE = "size"  # code and constants

    def score(self, arena: int, instructions: int) -> tuple[int, int]:
        """The less the better; it never falls where one of the two grows. Code is no part of it."""
        if self is Goal.BALANCED:
            return max(1, arena) * instructions, arena
        return (instructions, arena) if self is Goal.SPEED else (arena, instructions)


def goal_named(name: str) -> Goal:
    """The goal of that name.

    Raises:
        OptionError: there is none.
    """
    for goal in Goal:
        if goal.value == name:
            return goal
    raise OptionError(f"--optimize {name}: there are {', '.join(goal.value for goal in Goal)}")


@dataclass(frozen=True, slots=True)
class Variant:
    """A segment with some kernels: running up, and running down where it can (else the same)."""

    up: Unit
    down: Unit

    def running(self, *, down: bool) -> Unit:
        return self.down if down else self.up


Variants = tuple[tuple[Variant, ...], ...]
"""Per segment its variants, no two with the same kernels."""


@dataclass(frozen=True, slots=True)
class Point(Generic[P]):
    """A plan that the caller made of a selection of variants, with its cost."""

    counts: tuple[int, ...]  # instructions per segment
    arena: int
    plan: P

    @property
    def instructions(self) -> int:
        return sum(self.counts)


def variants(
    graph: Graph, segments: Sequence[Segment], flavour: Flavour, core: str, *, all_flavours: bool = False
) -> Variants:
    """Every segment with the kernels that it gets as its work space is limited more and more.

    Kernels of weaker flavours follow; portable ones come last, and only where others need work space unless
    `all_flavours` asks for them. Within a limit each operator of a segment that runs row by row gets the kernels that
    are estimated to be the fastest on `core`, row by row.
    """
    table = []
    for part, alone in zip(segments, lowered(graph, segments, flavour), strict=True):
        best = _with(graph, part, Choice(flavour)) if len(part.ops) > 1 else alone
        found: list[tuple[Choices, Unit]] = [(dict.fromkeys(part.ops, Choice(flavour)), best)]
        for choice, unit in _leaner(graph, part, best, flavour) if best.scratch or all_flavours else ():
            if all(unit.calls != known.calls for _, known in found):
                found.append((dict.fromkeys(part.ops, choice), unit))
        if len(part.ops) > 1 and len(found) > 1:
            found = list(_mixed(graph, part, found, core))
        downs = (_chosen(graph, part, choices, down=True) if part.order else unit for choices, unit in found)
        table.append(tuple(Variant(unit, down) for (_, unit), down in zip(found, downs, strict=True)))
    return tuple(table)


def _mixed(
    graph: Graph, part: Segment, found: Sequence[tuple[Choices, Unit]], core: str
) -> Iterator[tuple[Choices, Unit]]:
    """Per limit of work space the kernels that are the fastest within it, operator by operator."""
    prices = [_estimates_by_op(graph, unit, core) for _, unit in found]
    seen: list[Unit] = []
    for _, limit in found:
        picked = {}
        for place, op in enumerate(part.ops):
            fitting = [n for n, (_, unit) in enumerate(found) if work_space_of(unit.calls[place]) <= limit.scratch]
            picked[op] = found[min(fitting, key=lambda n: prices[n][place])][0][op]
        unit = _chosen(graph, part, picked)
        if all(unit.calls != known.calls for known in seen):
            seen.append(unit)
            yield picked, unit


def _with(graph: Graph, part: Segment, choice: Choice) -> Unit:
    """A segment whose operators all get the kernels of one choice."""
    return _chosen(graph, part, dict.fromkeys(part.ops, choice))


def _chosen(graph: Graph, part: Segment, choices: Choices, *, down: bool = False) -> Unit:
    """A segment whose operators get the kernels of their choices."""
    flavour = choices[part.ops[0]].flavour
    if len(part.ops) > 1:  # which line buffers are shared depends on the kernels
        unit = lowered(graph, (part,), flavour, choices)[0]
        traits = {op: traits_of_calls(calls) for op, calls in zip(part.ops, unit.calls, strict=True)}
        return replace(unit, segment=_turned(graph, part, traits, down))
    part = _turned(graph, part, NO_TRAITS, down) if down and part.order else part
    return lowered(graph, (part,), flavour, choices)[0]


def _turned(graph: Graph, part: Segment, traits: Mapping[OpId, Traits], down: bool) -> Segment:
    """The segment for kernels with those traits, running up, or down if it can."""
    kept = {t for op in part.ops for t in graph.ops[op].outputs} - set(part.rings or {})
    rules = {op: row_rules(graph, op) for op in part.ops}
    patches = part.patches
    found = segment(graph, part.ops, rules, kept, traits=traits, descending=True, patches=patches) if down else None
    found = found or segment(graph, part.ops, rules, kept, traits=traits, patches=patches)
    assert found is not None
    return found


def _leaner(graph: Graph, part: Segment, unit: Unit, flavour: Flavour) -> Iterator[tuple[Choice, Unit]]:
    """The kernels of every flavour, from those with most work space down to those with least."""
    for weaker in dict.fromkeys((flavour, *_WEAKER.get(flavour, ()), Flavour.PORTABLE)):
        if weaker is not flavour:
            unit = _with(graph, part, Choice(weaker))
            yield Choice(weaker), unit
        while unit.scratch:
            choice = Choice(weaker, unit.scratch - 1)
            less = _with(graph, part, choice)
            if less.scratch >= unit.scratch:
                break  # kernels that know no limits
            unit = less
            yield choice, unit


def level(table: Variants, number: int) -> tuple[Unit, ...]:
    """The variants of one number, the last one where there are fewer; all run up."""
    return tuple(options[min(number, len(options) - 1)].up for options in table)


def levels(table: Variants) -> range:
    """Numbers of levels."""
    return range(max(map(len, table), default=0))


def _transposed(table: Variants, per_level: Sequence[Sequence[int]]) -> Counts:
    """Numbers per level and unit as numbers per variant."""
    return tuple(tuple(per_level[k][u] for k in range(len(options))) for u, options in enumerate(table))


def counted(table: Variants, count: Callable[[tuple[Unit, ...]], Sequence[int]]) -> Counts:
    """Instructions of all variants; `count` gives those of a whole program's units, and is asked once per level."""
    return _transposed(table, [count(level(table, number)) for number in levels(table)])


def directions(selected: Sequence[Variant]) -> Iterator[tuple[Unit, ...]]:
    """All segments running up, and taking turns in both ways: to be tried one after another.

    A result that is computed from its first row lies below its operand, one computed from the last row above; where
    they take turns, a chain of operators does not creep through memory. What is computed in place does not move.
    """
    up = tuple(option.up for option in selected)
    yield up
    if all(option.up is option.down for option in selected):
        return
    tried = {tuple(map(id, up))}
    for first in (False, True):
        down, units = first, []
        for option in selected:
            units.append(option.running(down=down))
            down ^= not _in_place(units[-1])
        if (same := tuple(map(id, units))) not in tried:
            tried.add(same)
            yield tuple(units)


def _in_place(unit: Unit) -> bool:
    calls = unit.calls[0]
    return not unit.streamed and len(calls) == 1 and bool(calls[0].in_place)


def estimated(graph: Graph, units: Sequence[Unit], core: str) -> tuple[int, ...]:
    """Instructions of units on a core by the model of `instructions.py`."""
    return tuple(_estimate(graph, unit, core) for unit in units)


@lru_cache(maxsize=4096)
def _estimate(graph: Graph, unit: Unit, core: str) -> int:
    return round(sum(_estimates_by_op(graph, unit, core)))


def _estimates_by_op(graph: Graph, unit: Unit, core: str) -> list[float]:
    """Instructions of each operator of a unit."""
    rules = {op: row_rules(graph, op) for op in unit.segment.ops} if unit.segment.patches else {}
    again = {op: rate for patch in unit.segment.patches for op, rate in row_rates(graph, patch, rules).items()}
    found_by_op: list[float] = []
    for index, calls in zip(unit.segment.ops, unit.calls, strict=True):
        op, rate = graph.ops[index], again.get(index, 1.0)
        found_by_op.append(0.0)
        for call in calls:
            if call.hands_over or (call.kernel == "copy" and call.in_place):
                continue  # nothing, and mostly onto itself
            by_row = unit.streamed and bool(call.rows)
            found = traffic_of(call, core, by_row=by_row) if _priced(core) else replace(NOTHING, measured=False)
            times = graph.results(op)[0].shape[1] if unit.streamed and not by_row else 1
            macs = op.attrs.macs(graph.operands(op), graph.results(op)) / len(calls)
            known = found.measured or not macs
            found_by_op[-1] += rate * (times * found.instructions if known else macs * _per_mac(call.kernel))
    return found_by_op


def _per_mac(kernel: str) -> float:
    """Instructions per multiply-accumulate of a kernel without measured costs: estimates that put flavours in order."""
    return next((cost for part, cost in _PER_MAC.items() if part in kernel), 6.0)


def problem_of(
    graph: Graph, units: Sequence[Unit], *, keep_inputs: bool, rung: int
) -> tuple[Problem, tuple[Slot, ...]]:
    """What is to be packed on a rung, and whose each of its buffers is."""
    return arena_problem(graph, units, keep_inputs=keep_inputs, merge=rung >= 3, split=rung >= 5)


def needs(graph: Graph, table: Variants, *, keep_inputs: bool, rung: int) -> Counts:
    """Bytes of arena that cannot be avoided while a unit runs: the height of what lives then, packed by itself.

    bytes   | scratch |
            | result  |        the packing problem of unit 1 is made of what
          +---------+ |        touches its steps, and of nothing else
          | operand   |
          +-----------+
            0     1     2 → units
    """
    found: list[list[int]] = [[] for _ in table]
    for number in levels(table):
        units = level(table, number)
        problem, _ = problem_of(graph, units, keep_inputs=keep_inputs, rung=rung)
        starts = [0, *accumulate(unit.segment.steps for unit in units)]
        for options, row, (start, stop) in zip(table, found, pairwise(starts), strict=True):
            if number < len(options):
                row.append(_height(problem, start, stop))
    return tuple(map(tuple, found))


def _height(problem: Problem, start: int, stop: int) -> int:
    buffers = tuple(b for b in problem.buffers if b.lifetime.start < stop and start < b.lifetime.stop)
    ids = {b.id for b in buffers}
    distances = tuple(d for d in problem.distances if d.early in ids and d.late in ids)
    found = pack(condensed(Problem(buffers, distances=distances)), budget=_NODES)
    return found.lower_bound if isinstance(found, Solution) else 0


def selections(counts: Counts, need: Counts) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(arena that cannot be avoided, numbers of variants): per limit the fastest within it, without a limit first.

    Below the least limit that all units can meet there is nothing to select.
    """
    floor = max(map(min, need), default=0)
    limits = sorted({bytes_ for row in need for bytes_ in row if bytes_ > floor} | {floor}, reverse=True)
    seen = None
    for limit in limits:
        chosen = tuple(_fastest(*row, limit) for row in zip(counts, need, strict=True))
        if chosen != seen:
            seen = chosen
            yield max((row[k] for row, k in zip(need, chosen, strict=True)), default=0), chosen


def _fastest(counts: Sequence[int], need: Sequence[int], limit: int) -> int:
    return min((counts[k], need[k], k) for k in range(len(counts)) if need[k] <= limit)[2]


def front(
    table: Variants,
    counts: Counts,
    need: Counts,
    score: Callable[[int, int], tuple[int, int]],
    plan: Callable[[tuple[Variant, ...]], tuple[int, P]],
    best: Point[P] | None = None,
) -> Point[P] | None:
    """The plan of least score, if it is less than that of `best`, else that.

    Args:
        table: the variants.
        counts: instructions of all variants.
        need: bytes of arena of all variants.
        score: of arena and instructions, see `Goal.score`.
        plan: makes a plan, and says how large its arena is. It is spared selections that cannot be the best.
        best: the best plan so far.
    """
    for least, chosen in selections(counts, need):
        executed = tuple(row[k] for row, k in zip(counts, chosen, strict=True))
        if best is not None and score(least, sum(executed)) >= score(best.arena, best.instructions):
            continue
        arena, made = plan(tuple(row[k] for row, k in zip(table, chosen, strict=True)))
        if best is None or score(arena, sum(executed)) < score(best.arena, best.instructions):
            best = Point(executed, arena, made)
    return best


def smallest(table: Variants, counts: Counts, code: Mapping[str, Code]) -> tuple[tuple[int, ...], bool]:
    """Numbers of the variants that take the least flash, and whether one copy of each kernel serves all its calls.

    Args:
        table: the variants, of all flavours.
        counts: their instructions, for ties.
        code: bytes of every kernel.
    """
    apart = tuple(
        min(range(len(options)), key=lambda k: (_alone(options[k].up, code), row[k]))
        for options, row in zip(table, counts, strict=True)
    )
    together = _sharing(table, counts, code)
    less = _together(table, together, code) < sum(_alone(row[k].up, code) for row, k in zip(table, apart, strict=True))
    return (together, True) if less else (apart, False)


def _sharing(table: Variants, counts: Counts, code: Mapping[str, Code]) -> tuple[int, ...]:
    """The variants that take the least flash if kernels are shared: they are given up one by one while that saves."""
    banned: frozenset[str] = frozenset()
    chosen = _without(table, counts, banned)
    assert chosen is not None
    while True:
        used = sorted(_kernels(table, chosen))
        trials = ((kernel, _without(table, counts, banned | {kernel})) for kernel in used)
        found = [(_together(table, trial, code), kernel, trial) for kernel, trial in trials if trial is not None]
        if not found or min(found)[0] >= _together(table, chosen, code):
            return chosen
        _, kernel, chosen = min(found)
        banned |= {kernel}


def only(chosen: Sequence[int], table: Variants, counts: Counts) -> tuple[Variants, Counts]:
    """The variants of these numbers alone, and their counts."""
    return (
        tuple((options[k],) for options, k in zip(table, chosen, strict=True)),
        tuple((row[k],) for row, k in zip(counts, chosen, strict=True)),
    )


@cache
def code_bytes() -> dict[str, Code]:
    """Bytes of all kernels. Source: `benchmarks/kernel_sizes.py` measures them."""
    text = (resources.files("thimble") / "costs" / "code.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, Code])


def _without(table: Variants, counts: Counts, banned: frozenset[str]) -> tuple[int, ...] | None:
    """The variants with the fewest constants that do without some kernels; None if there are none."""
    chosen = []
    for options, executed in zip(table, counts, strict=True):
        allowed = [k for k, option in enumerate(options) if not banned & kernels_of(option.up)]
        if not allowed:
            return None
        chosen.append(min(allowed, key=lambda k: (constant_bytes(options[k].up), executed[k])))
    return tuple(chosen)


def _kernels(table: Variants, chosen: Sequence[int]) -> frozenset[str]:
    return frozenset().union(*(kernels_of(options[k].up) for options, k in zip(table, chosen, strict=True)))


def _together(table: Variants, chosen: Sequence[int], code: Mapping[str, Code]) -> int:
    units = [options[k].up for options, k in zip(table, chosen, strict=True)]
    calls = sum(len(calls) for unit in units for calls in unit.calls)
    kernels = sum(code.get(kernel, _UNKNOWN_CODE).shared for kernel in sorted(_kernels(table, chosen)))
    return sum(map(constant_bytes, units)) + calls * _PARAMETERS + kernels


def _alone(unit: Unit, code: Mapping[str, Code]) -> int:
    calls = (call for calls in unit.calls for call in calls)
    return constant_bytes(unit) + sum(code.get(call.kernel, _UNKNOWN_CODE).apart for call in calls)


def kernels_of(unit: Unit) -> frozenset[str]:
    """Names of the kernels that a unit calls."""
    return frozenset(call.kernel for calls in unit.calls for call in calls)


def constant_bytes(unit: Unit) -> int:
    """Bytes of flash for the arrays of a unit's calls."""
    return sum(len(data.data) for calls in unit.calls for call in calls for data in call.constants)
