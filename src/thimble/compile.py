# SPDX-License-Identifier: Apache-2.0
"""Model to Program: the stages of the compiler in order, each checked by its verifier.

Model ─compilable→ Graph ─optimal_order→ Schedule ─variants→ units ─front: arena_problem, pack→ the goal's best plan
      ─assembled→ Program
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from thimble.choose import (
    Goal,
    Point,
    Variant,
    code_bytes,
    core_of,
    counted,
    directions,
    estimated,
    front,
    needs,
    only,
    problem_of,
    smallest,
    variants,
)
from thimble.condense import condensed
from thimble.emit import identifier
from thimble.errors import InternalError, OptionError
from thimble.ir import Graph, Kind, Model, OpId
from thimble.kernel import Choice, Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import ALIGNMENT, Slot, Unit, assembled, lowered, traits_of
from thimble.memory import Infeasible, Problem, Schedule, Solution
from thimble.merged_order import merged_order
from thimble.pack import DEFAULT_BUDGET, pack
from thimble.program import Part, Program, Selection
from thimble.recompute import front as patched
from thimble.rewrites import compilable, hand_over
from thimble.schedule import optimal_order
from thimble.slices import Slices
from thimble.streaming import LONGEST, Segment, Traits, partitions
from thimble.target import Target
from thimble.tflm.planner import Request, greedy
from thimble.verify import verify_graph, verify_schedule
from thimble.verify_pack import verify_solution
from thimble.verify_program import verify_program
from thimble.views import sliced, slices_within
from thimble.watch import Watch, unwatched, within

DEFAULT_RUNG = 3
"""The last rung that costs nothing."""
HIGHEST_RUNG = 6
STREAMING_RUNG = 5
"""The first rung on which rows can be handed over one after another."""
DEFAULT_MAX_MACS = 1.15
"""Multiply-accumulates that rung 6 may execute at most, relative to the model's."""
_STAGES = 4  # of planning, for those who watch: segments and their kernels, with much work space and with little
_QUICK = 2_000  # search nodes of the packer per selection of kernels; the one that is taken is packed thoroughly


def flavour_of(target: Target) -> Flavour:
    """The kernels that suit a target best."""
    if target.mve:
        return Flavour.MVE
    return Flavour.DSP if target.dsp else Flavour.PORTABLE


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts the instructions of each step of a program by running it on an emulated machine."""

    machine: str
    count: Callable[[Program], Sequence[int]]


def compile_model(
    model: Model,
    *,
    flavour: Flavour,
    rung: int = DEFAULT_RUNG,
    name: str | None = None,
    keep_inputs: bool = False,
    optimize: Goal | None = Goal.BALANCED,
    core: str | None = None,
    meter: Meter | None = None,
    max_macs: float = DEFAULT_MAX_MACS,
    stream_input: bool = False,
    stream_output: bool = False,
    watch: Watch = unwatched,
) -> Program:
    """The program of a model's main graph, verified, with the choice of its kernels.

    Args:
        model: from `pipeline.load`.
        flavour: which instructions the kernels may use. Operators may get weaker kernels that need less work space.
        rung: 0 the file's order and TFLM's greedy planner, 1 the order of least peak, 2 the least arena as well,
            3 results in place of operands that die, 4 results that start within their dying operands, 5 segments that
            run row by row, 6 parts of segments that are computed again rather than kept.
        name: prefix of all C names; the model's without it.
        keep_inputs: the caller's inputs survive the inference.
        optimize: what the choice of kernels is to make small; None: no choice, the flavour's best kernels.
        core: whose instructions are estimated; None for one that the flavour is made for.
        meter: counts instructions in place of the estimate; it is asked once per level of work space.
        max_macs: multiply-accumulates that rung 6 may execute, relative to the model's; at least 1.
        stream_input: the application hands over the rows of the first image among the inputs, from rung 5 on.
        stream_output: it takes those of the first image among the outputs one after another, too.
        watch: is told about progress.

    Raises:
        UnsupportedOperatorError: an operator cannot be compiled; the message names it.
        OptionError: no such rung, a limit below 1, or an operator needs what is handed over row by row whole.
    """
    if not max_macs >= 1:
        raise OptionError(f"--max-macs {max_macs:g}: a model needs 1x its multiply-accumulates; write 1.1x or more")
    if not 0 <= rung <= HIGHEST_RUNG:
        raise OptionError(f"--rung {rung}: rungs 0 to {HIGHEST_RUNG} can be compiled")
    if (stream_input or stream_output) and rung < STREAMING_RUNG:
        option = "--stream-input" if stream_input else "--stream-output"
        raise OptionError(f"{option}: rows are computed one after another from rung {STREAMING_RUNG} on, not on {rung}")
    graph = compilable(model, merge=rung >= 3)
    graph = hand_over(graph, stream_input=stream_input, stream_output=stream_output)
    verify_graph(graph)
    schedule = shipped_schedule(graph)
    if rung:
        scratch = _scratch(graph, flavour, optimize)
        best = optimal_order(graph, scratch=scratch, keep_inputs=keep_inputs, alignment=ALIGNMENT)
        schedule = best if best.order != schedule.order else schedule
        schedule = _merging(graph, schedule, flavour, scratch, keep_inputs) if rung >= 3 else schedule
    verify_schedule(graph, schedule)
    frame = _Frame(identifier(name or model.name), graph, schedule, rung, keep_inputs, max_macs)
    core = core_of(flavour, core)
    point, shared = _best(frame, flavour, optimize, partial(_counts, frame, core, meter), watch, core)
    plan = min(_placed(frame, point.plan.units, DEFAULT_BUDGET), point.plan, key=lambda p: p.solution.height)
    verify_solution(plan.problem, plan.solution)
    program = _assembled(frame, plan)
    verify_program(program)
    parts = tuple(map(_part, plan.units, point.counts))
    goal = (optimize or Goal.SPEED).value
    return replace(program, selection=Selection(goal, core, None if meter is None else meter.machine, parts, shared))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is settled before kernels are chosen."""

    name: str
    graph: Graph
    schedule: Schedule
    rung: int
    keep_inputs: bool
    max_macs: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """Units with their places."""

    units: tuple[Unit, ...]
    problem: Problem
    slots: tuple[Slot, ...]
    solution: Solution


def _best(
    frame: _Frame,
    flavour: Flavour,
    goal: Goal | None,
    count: Callable[[tuple[Unit, ...]], Sequence[int]],
    watch: Watch,
    core: str,
) -> tuple[Point[_Plan], bool]:
    """The plan that serves the goal best, of all segments and kernels; and whether calls share kernels."""
    found: Point[_Plan] | None = None
    shared = False
    wanted = Goal.RAM if frame.rung == 4 and goal is Goal.BALANCED else goal or Goal.SPEED
    for segments in _segments(frame, flavour, watch):
        table = variants(frame.graph, segments, flavour, core, all_flavours=goal is Goal.SIZE)
        if goal is None:
            table = tuple(options[:1] for options in table)
        counts = counted(table, count)
        if goal is Goal.SIZE:
            chosen, shared = smallest(table, counts, code_bytes())
            table, counts = only(chosen, table, counts)
        need = needs(frame.graph, table, keep_inputs=frame.keep_inputs, rung=frame.rung)
        found = front(table, counts, need, wanted.score, partial(_planned, frame), found)
    assert found is not None
    return found, shared


def _segments(frame: _Frame, flavour: Flavour, watch: Watch) -> Iterator[tuple[Segment, ...]]:
    """Operators as a whole up to rung 3, each row by row on rung 4, runs of them on rung 5, with patches on rung 6."""
    order = frame.schedule.order
    if frame.rung <= 3:
        plain = tuple(Segment((op,)) for op in order)
        yield plain
        yield from _sliced(frame, flavour, lambda: plain)
        return
    longest = 1 if frame.rung == 4 else LONGEST
    for turn, leanest in enumerate((None, 0)):  # kernels with little work space make other segments worthwhile
        choices = {op: Choice(flavour, leanest) for op in order}
        traits = traits_of(frame.graph, flavour, choices)
        found = partitions(
            frame.graph,
            order,
            longest=longest,
            keep_inputs=frame.keep_inputs,
            traits=traits,
            watch=within(watch, 2 * turn, _STAGES, "segments"),
        )
        for number, parts in enumerate(found):
            inner = within(within(watch, 2 * turn + 1, _STAGES), number, len(found))
            inner(0, 1, "kernels")
            yield parts
            if frame.rung >= 6 and leanest is not None:
                yield from _patched(frame, parts, traits, within(inner, 0, 1, "patches"))
    yield from _sliced(
        frame, flavour, lambda: partitions(frame.graph, order, longest=1, keep_inputs=frame.keep_inputs)[0]
    )


def _patched(
    frame: _Frame, parts: tuple[Segment, ...], traits: Mapping[OpId, Traits], watch: Watch
) -> Iterator[tuple[Segment, ...]]:
    """Segments with the patches that save the most within the limit, if any do."""
    most = int((frame.max_macs - 1) * frame.graph.macs())
    points = patched(frame.graph, parts, traits=traits, keep_inputs=frame.keep_inputs, most=most, watch=watch)
    yield from list(points)[-1:]


def _sliced(frame: _Frame, flavour: Flavour, parts: Callable[[], tuple[Segment, ...]]) -> Iterator[tuple[Segment, ...]]:
    """Single operators with tensors as slices of others, from rung 3 on; not where the application hands rows over."""
    outside = any(tensor.kind is Kind.OUTSIDE for tensor in frame.graph.tensors)
    slices: Slices = {}
    if frame.rung >= 3 and not outside:
        slices = slices_within(frame.graph, frame.schedule.order, flavour, keep_inputs=frame.keep_inputs)
    if slices:
        yield sliced(frame.graph, parts(), slices)


def _counts(frame: _Frame, core: str, meter: Meter | None, units: tuple[Unit, ...]) -> tuple[int, ...]:
    """Instructions of every unit, estimated or measured."""
    if meter is None:
        return estimated(frame.graph, units, core)
    steps = iter(meter.count(_assembled(frame, _placed(frame, units))))
    return tuple(sum(islice(steps, sum(map(len, unit.calls)))) for unit in units)


def _part(unit: Unit, instructions: int) -> Part:
    kernels = tuple(call.kernel for calls in unit.calls for call in calls)
    return Part(unit.segment.ops, kernels, unit.scratch, instructions)


def _planned(frame: _Frame, selected: Sequence[Variant]) -> tuple[int, _Plan]:
    """Bytes of the arena, and what is where in it, for the best directions of rows."""
    plan = min((_placed(frame, units) for units in directions(selected)), key=lambda plan: plan.solution.height)
    return plan.solution.height, plan


def _placed(frame: _Frame, units: tuple[Unit, ...], budget: int = _QUICK) -> _Plan:
    problem, slots = problem_of(frame.graph, units, keep_inputs=frame.keep_inputs, rung=frame.rung)
    solution = pack(condensed(problem), budget=budget) if frame.rung >= 2 else _greedy(problem)
    if isinstance(solution, Infeasible):
        raise InternalError("an arena without a capacity cannot be too small")
    return _Plan(units, problem, slots, solution)


def _assembled(frame: _Frame, plan: _Plan) -> Program:
    return assembled(frame.name, frame.graph, frame.schedule, plan.units, plan.slots, plan.solution)


def _greedy(problem: Problem) -> Solution:
    """Offsets by TFLM's greedy planner, which knows sizes and lifetimes; all blocks at multiples of the largest."""
    alignment = max((b.alignment for b in problem.buffers), default=1)
    requests = [
        Request(-(-b.size // alignment) * alignment, b.lifetime.start, b.lifetime.stop - 1) for b in problem.buffers
    ]
    offsets, _ = greedy(requests)
    height = max((o + b.size for o, b in zip(offsets, problem.buffers, strict=True)), default=0)
    return Solution(offsets, height, 0, "tflm-greedy")


def _merging(
    graph: Graph, schedule: Schedule, flavour: Flavour, scratch: Mapping[OpId, int], keep_inputs: bool
) -> Schedule:
    """The schedule, or the best one for merged tensors where that needs a smaller arena."""

    def units(order: Sequence[OpId]) -> tuple[Unit, ...]:
        return lowered(graph, [Segment((op,)) for op in order], flavour)

    def height(tried: Schedule) -> int:
        problem, _ = problem_of(graph, units(tried.order), keep_inputs=keep_inputs, rung=3)
        found = pack(condensed(problem), budget=_QUICK)
        return found.height if isinstance(found, Solution) else 0

    own = units(schedule.order)
    other = merged_order(graph, own, scratch=scratch, keep_inputs=keep_inputs, alignment=ALIGNMENT)
    if other is None or other.order == schedule.order:
        return schedule
    return min((schedule, other), key=height)


def _scratch(graph: Graph, flavour: Flavour, goal: Goal | None) -> dict[OpId, int]:
    """Work space per operator, the largest of its calls."""
    least = {op.id: Choice(flavour, 0) for op in graph.ops} if goal is Goal.RAM else {}
    units = lowered(graph, [Segment((op.id,)) for op in graph.ops], flavour, least)
    return {unit.segment.ops[0]: unit.scratch for unit in units}
