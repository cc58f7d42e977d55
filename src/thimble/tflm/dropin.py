# SPDX-License-Identifier: Apache-2.0
"""Rungs 1 to 3 for stock TFLM: a better operator order, and a memory plan that it reads from the file.

TFLM takes the plan's offsets as they are and then plans its kernels' scratch buffers around them with its own
greedy planner. So the offsets are packed together with the scratch, and what TFLM will end at is computed by
running its planner on the result: a plan is only worth writing when that is below what TFLM does by itself.

Rung 3 is asked for explicitly, as it rests on how the kernels work (in_place.py): a result and the operand whose
place it takes are packed as one buffer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from thimble.errors import OptionError
from thimble.ir import Kind, Model, OpId
from thimble.lifetime import shipped_schedule
from thimble.memory import ONLINE, Buffer, BufferId, Infeasible, Interval, Problem, Schedule
from thimble.pack import pack
from thimble.schedule import optimal_order
from thimble.target import Target
from thimble.tflm.allocation import Allocation, predict
from thimble.tflm.in_place import Shared, sharings
from thimble.tflm.planner import ALIGNMENT, Request, Scratch, greedy, without_offline_plan
from thimble.verify_pack import verify_solution


@dataclass(frozen=True, slots=True)
class DropIn:
    """A file that stock TFLM runs in less memory: the order, the plan, and what TFLM then allocates per target.

    `offsets` (one per tensor of all graphs) is None when TFLM's own planner does as well. `shared` are the operators
    whose results lie at their operand's offset.
    """

    schedule: Schedule
    offsets: tuple[int, ...] | None
    allocations: tuple[Allocation, ...]
    shared: tuple[Shared, ...] = ()


def reorder(model: Model, target: Target, *, keep_inputs: bool = False) -> tuple[Schedule, Allocation]:
    """Rung 1: the order of least peak for the target's kernels, and what TFLM's own planner makes of it."""
    if _has_work_space(model):
        return shipped_schedule(model.main), predict(model, target)
    bare = without_offline_plan(model)
    scratch = _bytes_per_operator(predict(bare, target).scratch)
    best = optimal_order(bare.main, scratch=scratch, keep_inputs=keep_inputs, alignment=ALIGNMENT)
    return best, predict(bare, target, order=best.order)


def improve(model: Model, targets: Sequence[Target], *, keep_inputs: bool = False, in_place: bool = False) -> DropIn:
    """Rung 2, with `in_place` rung 3: the order and the plan with which stock TFLM's arena is smallest.

    One file has to serve all targets: no target's arena may become larger than with the file as it is, and the
    sum of the arenas, each relative to that, is made least. Ties go to the file as it is, then to the shipped
    order, then to no plan at all, then to a plan that shares no offsets.

    With `keep_inputs` nothing may ever lie over an input of the model, and arenas may become larger.

    Raises:
        OptionError: no plan found under which TFLM's own planner leaves the inputs alone.
    """
    shipped = tuple(predict(model, target) for target in targets)
    if _has_work_space(model):
        return DropIn(shipped_schedule(model.main), None, shipped)
    best: DropIn | None = None
    least = float("inf")
    for candidate in (
        DropIn(shipped_schedule(model.main), None, shipped),
        *_candidates(without_offline_plan(model), targets, keep_inputs, in_place),
    ):
        pairs = zip(candidate.allocations, shipped, strict=True)
        ratios = [new.nonpersistent_bytes / max(1, old.nonpersistent_bytes) for new, old in pairs]
        sound = all(_keeps_inputs(model, a) for a in candidate.allocations) if keep_inputs else max(ratios) <= 1
        if sound and sum(ratios) < least:
            best, least = candidate, sum(ratios)
    if best is None:
        raise OptionError(f"{model.file}: TFLM would put its kernels' scratch over the input; copy the input instead")
    return best


def _has_work_space(model: Model) -> bool:
    """Whether custom operators name work space of their own; what they share there only they know, so hands off."""
    return any(t.kind is Kind.SCRATCH for graph in model.graphs for t in graph.tensors)


def _keeps_inputs(model: Model, allocation: Allocation) -> bool:
    """Whether no other block ever shares a byte with an input of the main graph."""
    inputs = [b for b in allocation.plan if b.graph == 0 and b.tensor in model.main.inputs]
    return not any(
        other is not kept and other.offset < kept.offset + kept.size and kept.offset < other.offset + other.size
        for kept in inputs
        for other in allocation.plan
        if other.last >= 0
    )


def _candidates(model: Model, targets: Sequence[Target], keep_inputs: bool, in_place: bool) -> Iterator[DropIn]:
    """Orders with and without plans: each target's, and one that leaves room for every target's scratch."""
    orders = {shipped_schedule(model.main).order: shipped_schedule(model.main)}
    for target in targets:
        found, _ = reorder(model, target, keep_inputs=keep_inputs)
        orders.setdefault(found.order, found)
    for schedule in orders.values():
        online = tuple(predict(model, target, order=schedule.order) for target in targets)
        yield DropIn(schedule, None, online)
        if keep_inputs or any(a.nonpersistent_bytes > a.lower_bound_bytes for a in online):
            yield from _planned(model, schedule, online, keep_inputs, ())
        for shared in sharings(model.main, schedule.order, keep_inputs=keep_inputs) if in_place else ():
            yield from _planned(model, schedule, online, keep_inputs, shared)


def _planned(
    model: Model, schedule: Schedule, online: Sequence[Allocation], keep_inputs: bool, shared: tuple[Shared, ...]
) -> Iterator[DropIn]:
    """Plans for one order and one choice of operators that run in place."""
    wanted = [_requests(allocation) for allocation in online]
    on_top = _inputs(wanted[0], model) if keep_inputs else {}
    owners = _owners(wanted[0], shared)
    for problem in _problems(wanted, on_top, owners):
        offsets = _packed(problem, wanted[0], model, on_top, owners)
        planned = (_as_executed(a, _fixed(w, model, offsets)) for a, w in zip(online, wanted, strict=True))
        yield DropIn(schedule, offsets, tuple(planned), shared)


def _owners(requests: Sequence[Request], shared: Sequence[Shared]) -> dict[int, int]:
    """Place in `requests` of each result that lies at an operand's offset, and that of its alias class's first tensor.

    `shared` is in the order of execution.
    """
    place = {r.tensor: i for i, r in enumerate(requests) if r.graph == 0 and r.tensor is not None}
    owners: dict[int, int] = {}
    for found in shared:
        operand = place[found.operand]
        owners[place[found.result]] = owners.get(operand, operand)
    return owners


def _inputs(requests: Sequence[Request], model: Model) -> dict[int, int]:
    """Place in `requests` and bytes of the main graph's inputs."""
    return {i: r.size for i, r in enumerate(requests) if r.graph == 0 and r.tensor in model.main.inputs}


def _problems(
    wanted: Sequence[Sequence[Request]], left_out: Collection[int], owners: Mapping[int, int]
) -> Iterable[Problem]:
    """What to pack so that every target is served well: each target's buffers, and those of the greediest kernels.

    An operator's scratch buffers are also packed as one block, into which TFLM's first-fit always gets them,
    however it orders them.
    """
    sets = [*wanted, _roomiest(wanted)]
    ways = [(requests, together) for requests in sets for together in (False, True)]
    return dict.fromkeys(_problem(requests, together, left_out, owners) for requests, together in ways)


def _requests(allocation: Allocation) -> list[Request]:
    return [Request(b.size, b.first, b.last, ONLINE, b.what, b.graph, b.tensor, b.op) for b in allocation.plan]


def _roomiest(problems: Sequence[Sequence[Request]]) -> list[Request]:
    """The tensors, and each operator's scratch as large as the target that needs most has it."""
    tensors = [request for request in problems[0] if request.tensor is not None]
    scratch: dict[tuple[int, OpId | None], list[Request]] = {}
    for requests in problems:
        blocks: dict[tuple[int, OpId | None], list[Request]] = {}
        for request in requests:
            if request.tensor is None:
                blocks.setdefault((request.graph, request.op), []).append(request)
        for op, block in blocks.items():
            scratch[op] = max(scratch.get(op, []), block, key=lambda found: sum(r.size for r in found))
    return tensors + [request for block in scratch.values() for request in block]


def _bytes_per_operator(scratch: Sequence[Scratch]) -> dict[OpId, int]:
    """Scratch of the main graph's operators, each buffer rounded up as TFLM does."""
    sums: dict[OpId, int] = {}
    for request in scratch:
        if request.graph == 0:
            sums[request.op] = sums.get(request.op, 0) + -(-request.size // ALIGNMENT) * ALIGNMENT
    return sums


def _packed(
    problem: Problem,
    requests: Sequence[Request],
    model: Model,
    on_top: Mapping[int, int],
    owners: Mapping[int, int],
) -> tuple[int, ...]:
    """Offsets of least height for the tensors of all graphs; `requests` tells which buffer is which tensor.

    Inputs that are to be kept live all the time, so they lose nothing by lying above everything else; there
    TFLM's planner, which thinks them dead, has no reason to put anything.
    """
    solution = pack(problem)
    assert not isinstance(solution, Infeasible)  # the arena's capacity is not limited
    verify_solution(problem, solution)
    place = {int(b.id): offset for b, offset in zip(problem.buffers, solution.offsets, strict=True)}
    height = -(-solution.height // ALIGNMENT) * ALIGNMENT
    for index, size in on_top.items():
        place[index], height = height, height + size
    place |= {result: place[owner] for result, owner in owners.items()}
    found = {(r.graph, r.tensor): place.get(i, ONLINE) for i, r in enumerate(requests) if r.tensor is not None}
    return tuple(found.get((g, t.id), ONLINE) for g, graph in enumerate(model.graphs) for t in graph.tensors)


def problem_of(allocation: Allocation) -> Problem:
    """What TFLM's planner has to place, as a packing problem."""
    return _problem(_requests(allocation), False, (), {})


def _problem(
    requests: Sequence[Request], together: bool, left_out: Collection[int], owners: Mapping[int, int]
) -> Problem:
    """One buffer per request, where there are alias classes per class, and with `together` per operator's scratch."""
    spans = {i: Interval(r.first, r.last + 1) for i, r in enumerate(requests)}
    for result, owner in owners.items():
        spans[owner] = Interval(
            min(spans[owner].start, spans[result].start), max(spans[owner].stop, spans[result].stop)
        )
    buffers: dict[object, Buffer] = {}
    for index, request in enumerate(requests):
        if request.first < 0 or index in left_out or index in owners:
            continue  # what nothing touches clashes with nothing
        key = (request.graph, request.op) if together and request.tensor is None else index
        size = request.size + (buffers[key].size if key in buffers else 0)
        buffers[key] = Buffer(BufferId(index), size, spans[index], ALIGNMENT)
    return Problem(tuple(buffers.values()))


def _fixed(requests: Sequence[Request], model: Model, offsets: Sequence[int]) -> list[Request]:
    """The requests with the plan's offsets, as TFLM sees them when it reads the plan from the file."""
    bases, base = [], 0
    for graph in model.graphs:
        bases.append(base)
        base += len(graph.tensors)
    return [
        dataclasses.replace(r, offline=ONLINE if r.tensor is None else offsets[bases[r.graph] + r.tensor])
        for r in requests
    ]


def _as_executed(online: Allocation, requests: Sequence[Request]) -> Allocation:
    """What TFLM will allocate for these requests, the rest being as in `online`."""
    places, height = greedy(requests)
    plan = tuple(dataclasses.replace(b, offset=place) for b, place in zip(online.plan, places, strict=True))
    total = online.persistent_bytes + height
    bound = min(online.lower_bound_bytes, height)  # which counts operand and result apart where they share
    return dataclasses.replace(
        online, nonpersistent_bytes=height, total_bytes=total, lower_bound_bytes=bound, plan=plan
    )
