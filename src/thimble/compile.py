# SPDX-License-Identifier: Apache-2.0
"""Model to Program: the stages of the compiler in order, each checked by its verifier.

Model ─compilable→ Graph ─optimal_order→ Schedule ─lowered→ calls ─arena_problem, pack→ Solution ─assembled→ Program
"""

from __future__ import annotations

from thimble.emit import identifier
from thimble.errors import InternalError, OptionError
from thimble.ir import Graph, Model, OpId
from thimble.kernel import Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import ALIGNMENT, arena_problem, assembled, lowered
from thimble.memory import Infeasible, Problem, Schedule, Solution
from thimble.pack import pack
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.schedule import optimal_order
from thimble.target import Target
from thimble.tflm.planner import Request, greedy
from thimble.verify import verify_graph, verify_schedule
from thimble.verify_pack import verify_solution
from thimble.verify_program import verify_program

HIGHEST_RUNG = 2


def flavour_of(target: Target) -> Flavour:
    """The kernels that suit a target best."""
    if target.mve:
        return Flavour.MVE
    return Flavour.DSP if target.dsp else Flavour.PORTABLE


def compile_model(
    model: Model, *, flavour: Flavour, rung: int = HIGHEST_RUNG, name: str | None = None, keep_inputs: bool = False
) -> Program:
    """The program of a model's main graph, verified.

    Args:
        model: from `pipeline.load`.
        flavour: which instructions the kernels may use.
        rung: 0 the file's order and TFLM's greedy planner, 1 the order of least peak, 2 the least arena as well.
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
    prefix = identifier(name or model.name)
    programs = [_program(prefix, graph, schedule, flavour, rung, keep_inputs) for schedule in schedules]
    return min(programs, key=lambda program: program.arena_bytes)


def _program(prefix: str, graph: Graph, schedule: Schedule, flavour: Flavour, rung: int, keep_inputs: bool) -> Program:
    verify_schedule(graph, schedule)
    calls = lowered(graph, schedule, flavour)
    problem, slots = arena_problem(graph, schedule, calls, keep_inputs=keep_inputs)
    solution = pack(problem) if rung >= 2 else _greedy(problem)
    if isinstance(solution, Infeasible):
        raise InternalError("an arena without a capacity cannot be too small")
    verify_solution(problem, solution)
    program = assembled(prefix, graph, schedule, calls, slots, solution)
    verify_program(program)
    return program


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
    most: dict[OpId, int] = {}
    for op, call in lowered(graph, shipped_schedule(graph), flavour):
        most[op] = max(most.get(op, 0), call.scratch)
    return most
