# SPDX-License-Identifier: Apache-2.0
"""The rungs of one model on one core: 0 to 2 with stock TFLM, all that exist as C code. Each is verified.

Model ─predict, reorder, improve→ Step (TFLM)      Model ─compile_model→ Built ─linked→ Compiled
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from thimble.bundle import Sizes, constant_bytes, linked_sizes
from thimble.compile import compile_model
from thimble.errors import InternalError
from thimble.ir import Graph, Kind, Model, OpId, Tensor
from thimble.kernel import Flavour
from thimble.ladder import NAMES, Compiled, Rung
from thimble.lifetime import shipped_schedule
from thimble.memory import Placement, Plan, Schedule, Scratch
from thimble.program import Program
from thimble.target import Target
from thimble.tflm import Allocation, predict
from thimble.tflm.dropin import DropIn, improve, reorder
from thimble.tflm.in_place import Refusal, Shared, least_bytes
from thimble.tflm.planner import has_plan
from thimble.verify import verify_plan
from thimble.watch import Watch, unwatched


@dataclass(frozen=True, slots=True)
class Step:
    """A rung with what reaches it: the order, and TFLM's memory; `offsets` if a plan goes into the file.

    `shared` are the operators that run in place on rung 3, `refused` those that could have gained from it.
    """

    rung: Rung
    schedule: Schedule
    allocation: Allocation
    offsets: tuple[int, ...] | None = None
    shared: tuple[Shared, ...] = ()
    refused: tuple[Refusal, ...] = ()


def climb(model: Model, target: Target, *, keep_inputs: bool = False, in_place: bool = False) -> tuple[Step, ...]:
    """Rungs 0 to 2 for stock TFLM on a target, each plan verified.

    With `keep_inputs` the last one leaves the caller's inputs alone, which TFLM by itself (the first two) does not.
    With `in_place` it is rung 3 where that needs less memory than rung 2.
    """
    start = time.perf_counter()
    order, shipped = shipped_schedule(model.main), _shipped(model, target)
    steps = [Step(_rung(0, shipped, shipped.lower_bound_bytes, start), order, shipped)]

    start = time.perf_counter()
    best, reordered = reorder(model, target, keep_inputs=keep_inputs)
    if best.method != "shipped" or not has_plan(model):
        verify_plan(tflm_plan(model, best, reordered))
    bound = shipped.lower_bound_bytes if best.lower_bound is None else best.lower_bound
    steps.append(Step(_rung(1, reordered, bound, start), best, reordered))

    start = time.perf_counter()
    packed = improve(model, (target,), keep_inputs=keep_inputs, in_place=in_place)
    if in_place:
        scratch = main_scratch(shipped)
        bound = least_bytes(model.main, scratch, bound)
    steps.append(packed_step(model, packed, 0, bound, start))
    return tuple(steps)


def _shipped(model: Model, target: Target) -> Allocation:
    """Rung 0, verified. A plan that the file itself brings is not ours: what is wrong with it is a notice."""
    allocation = predict(model, target)
    plan = tflm_plan(model, shipped_schedule(model.main), allocation)
    if not has_plan(model):
        verify_plan(plan)
        return allocation
    try:
        verify_plan(plan)
    except InternalError as fault:
        text = f"the file's own memory plan shares bytes in a way that only its operators can know to be right: {fault}"
        return replace(allocation, notices=(*allocation.notices, text))
    return allocation


def packed_step(model: Model, packed: DropIn, which: int, bound: int, start: float) -> Step:
    """Rung 2, or 3 where operators run in place, as TFLM executes it on the target number `which`.

    `bound` is the arena's lower bound, `start` the time at which the computation began.
    """
    allocation = packed.allocations[which]
    if packed.offsets is not None or not has_plan(model):
        verify_plan(tflm_plan(model, packed.schedule, allocation), in_place=bool(packed.shared))
    rung = _rung(3 if packed.shared else 2, allocation, bound, start)
    return Step(rung, packed.schedule, allocation, packed.offsets, packed.shared)


def _rung(number: int, allocation: Allocation, bound: int, start: float) -> Rung:
    arena = allocation.nonpersistent_bytes
    return Rung(
        rung=number,
        name=NAMES[number],
        arena_bytes=arena,
        lower_bound_bytes=min(bound, arena),  # TFLM lets go of an unread input one step earlier than the search does
        extra_macs_ratio=0.0,
        seconds=round(time.perf_counter() - start, 3),
        persistent_bytes=allocation.persistent_bytes,
        total_bytes=allocation.total_bytes,
        ram_bytes=allocation.smallest_arena_bytes,
    )


def main_scratch(allocation: Allocation) -> dict[OpId, int]:
    """Scratch per operator of the main graph."""
    return {op: size for (graph, op), size in scratch_of(allocation).items() if graph == 0}


def scratch_of(allocation: Allocation) -> dict[tuple[int, OpId], int]:
    """Bytes of scratch per graph and operator."""
    sums: dict[tuple[int, OpId], int] = {}
    for request in allocation.scratch:
        key = (request.graph, request.op)
        sums[key] = sums.get(key, 0) + request.size
    return sums


def tflm_plan(model: Model, schedule: Schedule, allocation: Allocation) -> Plan:
    """TFLM's allocation as a plan of the main graph. What a called graph holds counts as scratch of its caller."""
    caller = {graph: op.id for op in model.main.ops for graph in op.attrs.subgraphs()}
    placements, scratch = [], []
    for block in allocation.plan:
        place = Placement(0, block.offset)
        if block.graph == 0 and block.tensor is not None:
            placements.append((block.tensor, place))
        elif block.graph == 0 and block.op is not None:
            scratch.append(Scratch(block.op, block.size, place))
        elif block.graph in caller:
            scratch.append(Scratch(caller[block.graph], block.size, place))
    return Plan(model.main, schedule, tuple(placements), tuple(scratch), (allocation.nonpersistent_bytes,))


@dataclass(frozen=True, slots=True)
class Built:
    """A rung as C code: its program, and what is known of it; `unknown` says why sizes are not, where they are not."""

    program: Program
    rung: Rung
    compiled: Compiled
    sizes: Sizes | None = None
    unknown: str = ""


Compiler = Callable[..., Program]
"""`compile_model`, or the same with some of its arguments settled."""


def build(
    model: Model,
    number: int,
    flavour: Flavour,
    *,
    name: str | None = None,
    keep_inputs: bool = False,
    compiler: Compiler = compile_model,
    watch: Watch = unwatched,
) -> Built:
    """One rung as C code, arena and constants known. Arguments and errors are `compile_model`'s."""
    start = time.perf_counter()
    program = compiler(model, flavour=flavour, rung=number, name=name, keep_inputs=keep_inputs, watch=watch)
    compiled = Compiled(
        kernels=flavour.value,
        arena_bytes=program.arena_bytes,
        lower_bound_bytes=floor(program.graph, number),
        macs=program.macs,
        extra_macs_ratio=round(program.macs / max(1, program.graph.macs()) - 1, 6),
        constant_bytes=constant_bytes(program),
    )
    return Built(program, _compiled_rung(number, compiled, start), compiled)


def compiler_for(core: Target) -> Compiler:
    """What compiles for a core unless something else is asked for."""
    return partial(compile_model, core=core.name)


def linked(built: Built, core: Target) -> Built:
    """The same with sizes as linked for a core, if its compiler is installed."""
    found = linked_sizes(built.program, Flavour(built.compiled.kernels), core.name)
    if isinstance(found, str):
        return replace(built, unknown=found)
    compiled = replace(
        built.compiled,
        flash_bytes=found.flash_bytes,
        static_bytes=found.static_bytes,
        stack_bytes=found.stack_bytes,
    )
    rung = replace(built.rung, ram_bytes=compiled.ram_bytes, compiled=compiled)
    return replace(built, rung=rung, compiled=compiled, sizes=found)


def _compiled_rung(number: int, compiled: Compiled, start: float) -> Rung:
    return Rung(
        rung=number,
        name=NAMES[number],
        arena_bytes=compiled.arena_bytes,
        lower_bound_bytes=compiled.lower_bound_bytes,
        extra_macs_ratio=compiled.extra_macs_ratio,
        seconds=round(time.perf_counter() - start, 3),
        ram_bytes=compiled.ram_bytes,
        compiled=compiled,
    )


def floor(graph: Graph, number: int) -> int:
    """What no arena on a rung can be below, whatever the order: bytes that must be there together.

    Up to rung 2 an operator's operands and results are whole and apart; on rungs 3 and 4 they may share their bytes,
    but each are whole; above, only the caller's inputs and outputs are. Variables keep theirs throughout.
    """
    kept = sum(t.nbytes for t in graph.tensors if t.kind is Kind.VARIABLE)
    read = {t for op in graph.ops for t in op.inputs} | set(graph.outputs)
    bounds = [_bytes(graph.tensors[t] for t in ends) for ends in (graph.given, graph.outputs)]
    for op in graph.ops if number <= 4 else ():
        operands = _bytes(t for t in graph.operands(op) if t is not None)
        results = _bytes(t for t in graph.results(op) if t.id in read)
        bounds.append(operands + results if number <= 2 else max(operands, results))
    return kept + max(bounds)


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of different tensors in the arena that are no variables."""
    there = {t.id: t.nbytes for t in tensors if t.in_arena}
    return sum(there.values())
