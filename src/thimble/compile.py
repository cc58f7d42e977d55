# SPDX-License-Identifier: Apache-2.0
"""Model to Program: the stages of the compiler in order, each checked by its verifier.

Model ─compilable→ Graph ─optimal_order→ Schedule ─lowered→ calls ─arena_problem, pack→ Solution ─assembled→ Program
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thimble.arena import arena_problem
from thimble.condense import condensed
from thimble.emit import identifier
from thimble.errors import InternalError, OptionError
from thimble.ir import Graph, Model, OpId
from thimble.kernel import Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import ALIGNMENT, Slot, Unit, assembled, lowered, traits_of
from thimble.memory import Infeasible, Problem, Schedule, Solution
from thimble.pack import pack
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.schedule import optimal_order
from thimble.streaming import LONGEST, Segment, partitions, turned
from thimble.target import Target
from thimble.tflm.planner import Request, greedy
from thimble.verify import verify_graph, verify_schedule
from thimble.verify_pack import verify_solution
from thimble.verify_program import verify_program

DEFAULT_RUNG = 2
"""The last rung that costs no instructions."""
HIGHEST_RUNG = 5
_QUICK = 2_000  # search nodes for each try of a kernel that needs work space


def flavour_of(target: Target) -> Flavour:
    """The kernels that suit a target best."""
    if target.mve:
        return Flavour.MVE
    return Flavour.DSP if target.dsp else Flavour.PORTABLE


def compile_model(
    model: Model, *, flavour: Flavour, rung: int = DEFAULT_RUNG, name: str | None = None, keep_inputs: bool = False
) -> Program:
    """The program of a model's main graph, verified.

    Args:
        model: from `pipeline.load`.
        flavour: which instructions the kernels may use.
        rung: 0 the file's order and TFLM's greedy planner, 1 the order of least peak, 2 the least arena as well,
            3 results in place of operands that die, 4 results that start within their dying operands, 5 segments that
            run row by row. On rung 4 an operator gets the flavour's kernels only if their work space does not make the
            arena larger.
        name: prefix of all C names; the model's without it.
        keep_inputs: the caller's inputs survive the inference.

    Raises:
        UnsupportedOperatorError: an operator cannot be compiled; the message names it.
        OptionError: no such rung.
    """
    if not 0 <= rung <= HIGHEST_RUNG:
        raise OptionError(f"--rung {rung}: rungs 0 to {HIGHEST_RUNG} can be compiled")
    graph = compilable(model)
    verify_graph(graph)
    schedules = [shipped_schedule(graph)]
    if rung:
        best = optimal_order(graph, scratch=_scratch(graph, flavour), keep_inputs=keep_inputs, alignment=ALIGNMENT)
        schedules = [best] if best.order != schedules[0].order else schedules
    plans = [
        _planned(graph, units, rung, keep_inputs, schedule)
        for schedule in schedules
        for segments in _segments(graph, schedule, flavour, rung, keep_inputs)
        for units in _units(graph, segments, flavour, rung, keep_inputs)
    ]
    best_plan = min(plans, key=lambda plan: plan.solution.height)
    program = assembled(
        identifier(name or model.name), graph, best_plan.schedule, best_plan.units, best_plan.slots, best_plan.solution
    )
    verify_program(program)
    return program


@dataclass(frozen=True, slots=True)
class _Plan:
    """Units with their places."""

    schedule: Schedule
    units: tuple[Unit, ...]
    slots: tuple[Slot, ...]
    solution: Solution


def _planned(graph: Graph, units: tuple[Unit, ...], rung: int, keep_inputs: bool, schedule: Schedule) -> _Plan:
    verify_schedule(graph, schedule)
    problem, slots = arena_problem(graph, units, keep_inputs=keep_inputs, merge=rung >= 3, split=rung >= 5)
    solution = pack(condensed(problem)) if rung >= 2 else _greedy(problem)
    if isinstance(solution, Infeasible):
        raise InternalError("an arena without a capacity cannot be too small")
    verify_solution(problem, solution)
    return _Plan(schedule, units, slots, solution)


def _units(
    graph: Graph, segments: tuple[Segment, ...], flavour: Flavour, rung: int, keep_inputs: bool
) -> Iterator[tuple[Unit, ...]]:
    """The kernels to be tried: the flavour's, and on rung 4 also those of them that fit beside the tensors."""
    fast = lowered(graph, segments, flavour)
    yield fast
    if rung != 4 or flavour is Flavour.PORTABLE:
        return
    chosen = list(lowered(graph, segments, Flavour.PORTABLE))
    least = pack(arena_problem(graph, chosen, keep_inputs=keep_inputs, merge=True)[0])
    for number in sorted(range(len(fast)), key=lambda n: fast[n].scratch):
        trial = [*chosen[:number], fast[number], *chosen[number + 1 :]]
        found = pack(arena_problem(graph, trial, keep_inputs=keep_inputs, merge=True)[0], budget=_QUICK)
        if isinstance(found, Solution) and isinstance(least, Solution) and found.height <= least.height:
            chosen = trial
    yield tuple(chosen)


def _segments(
    graph: Graph, schedule: Schedule, flavour: Flavour, rung: int, keep_inputs: bool
) -> Iterator[tuple[Segment, ...]]:
    """Operators as a whole up to rung 3, each row by row on rung 4, runs of them on rung 5; to be tried in turn.

    A result that is computed from its first row lies below its operand, one computed from the last row above; where
    they take turns, a chain of operators does not creep through memory.
    """
    if rung <= 3:
        yield tuple(Segment((op,)) for op in schedule.order)
        return
    traits = traits_of(graph, flavour)
    longest = 1 if rung == 4 else LONGEST
    for up in partitions(graph, schedule.order, longest=longest, keep_inputs=keep_inputs, traits=traits):
        down = turned(graph, up)
        yield up
        yield tuple(pair[number % 2] for number, pair in enumerate(zip(up, down, strict=True)))
        yield tuple(pair[number % 2] for number, pair in enumerate(zip(down, up, strict=True)))


def _greedy(problem: Problem) -> Solution:
    """Offsets by TFLM's greedy planner, which knows sizes and lifetimes; all blocks at multiples of the largest."""
    alignment = max((b.alignment for b in problem.buffers), default=1)
    requests = [
        Request(-(-b.size // alignment) * alignment, b.lifetime.start, b.lifetime.stop - 1) for b in problem.buffers
    ]
    offsets, _ = greedy(requests)
    height = max((o + b.size for o, b in zip(offsets, problem.buffers, strict=True)), default=0)
    return Solution(offsets, height, 0, "tflm-greedy")


def _scratch(graph: Graph, flavour: Flavour) -> dict[OpId, int]:
    """Work space per operator, the largest of its calls."""
    units = lowered(graph, [Segment((op.id,)) for op in graph.ops], flavour)
    return {unit.segment.ops[0]: unit.scratch for unit in units}
