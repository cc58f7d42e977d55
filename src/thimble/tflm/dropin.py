# SPDX-License-Identifier: Apache-2.0
"""Rungs 1 and 2 for stock TFLM: a better operator order, and a memory plan that it reads from the file.

TFLM takes the plan's offsets as they are and then plans its kernels' scratch buffers around them with its own
greedy planner. So the offsets are packed together with the scratch, and what TFLM will end at is computed by
running its planner on the result: a plan is only worth writing when that is below what TFLM does by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from thimble.ir import Model, OpId
from thimble.lifetime import shipped_schedule
from thimble.memory import Buffer, BufferId, Infeasible, Interval, Problem, Schedule
from thimble.pack import pack
from thimble.schedule import optimal_order
from thimble.target import Target
from thimble.tflm.allocation import Allocation, predict
from thimble.tflm.planner import ALIGNMENT, ONLINE, Request, Scratch, greedy, without_offline_plan
from thimble.verify_pack import verify_solution


@dataclass(frozen=True, slots=True)
class DropIn:
    """A file that stock TFLM runs in less memory: the order, the plan, and what TFLM then allocates per target.

    `offsets` (one per tensor of all graphs) is None when TFLM's own planner does as well.
    """

    schedule: Schedule
    offsets: tuple[int, ...] | None
    allocations: tuple[Allocation, ...]


def reorder(model: Model, target: Target) -> tuple[Schedule, Allocation]:
    """Rung 1: the order of least peak for the target's kernels, and what TFLM's own planner makes of it."""
    bare = without_offline_plan(model)
    scratch = _bytes_per_operator(predict(bare, target).scratch)
    best = optimal_order(bare.main, scratch=scratch, alignment=ALIGNMENT)
    return best, predict(bare, target, order=best.order)


def improve(model: Model, targets: Sequence[Target]) -> DropIn:
    """Rung 2: the order and the plan with which stock TFLM's arena is smallest.

    One file has to serve all targets: no target's arena may become larger than with the file as it is, and the
    sum of the arenas, each relative to that, is made least. Ties go to the file as it is, then to the shipped
    order, then to no plan at all.
    """
    shipped = tuple(predict(model, target) for target in targets)
    as_it_is = DropIn(shipped_schedule(model.main), None, shipped)
    best, least = as_it_is, float(len(targets))
    for candidate in _candidates(without_offline_plan(model), targets):
        pairs = zip(candidate.allocations, shipped, strict=True)
        ratios = [new.nonpersistent_bytes / max(1, old.nonpersistent_bytes) for new, old in pairs]
        if max(ratios) <= 1 and sum(ratios) < least:
            best, least = candidate, sum(ratios)
    return best


def _candidates(model: Model, targets: Sequence[Target]) -> Iterator[DropIn]:
    """Orders with and without plans: each target's, and one that leaves room for every target's scratch."""
    orders = {shipped_schedule(model.main).order: shipped_schedule(model.main)}
    for target in targets:
        found, _ = reorder(model, target)
        orders.setdefault(found.order, found)
    for schedule in orders.values():
        online = tuple(predict(model, target, order=schedule.order) for target in targets)
        yield DropIn(schedule, None, online)
        if all(allocation.nonpersistent_bytes == allocation.lower_bound_bytes for allocation in online):
            continue
        wanted = [_requests(allocation) for allocation in online]
        for problem in _problems(wanted):
            offsets = _packed(problem, wanted[0], model)
            planned = (_as_executed(a, _fixed(w, model, offsets)) for a, w in zip(online, wanted, strict=True))
            yield DropIn(schedule, offsets, tuple(planned))


def _problems(wanted: Sequence[Sequence[Request]]) -> Iterable[Problem]:
    """What to pack so that every target is served well: each target's buffers, and those of the greediest kernels.

    An operator's scratch buffers are also packed as one block, into which TFLM's first-fit always gets them,
    however it orders them.
    """
    sets = [*wanted, _roomiest(wanted)]
    return dict.fromkeys(_problem(requests, together) for requests in sets for together in (False, True))


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


def _packed(problem: Problem, requests: Sequence[Request], model: Model) -> tuple[int, ...]:
    """Offsets of least height for the tensors of all graphs; `requests` tells which buffer is which tensor."""
    solution = pack(problem)
    assert not isinstance(solution, Infeasible)  # the arena's capacity is not limited
    verify_solution(problem, solution)
    place = {b.id: offset for b, offset in zip(problem.buffers, solution.offsets, strict=True)}
    found = {
        (r.graph, r.tensor): place.get(BufferId(i), ONLINE) for i, r in enumerate(requests) if r.tensor is not None
    }
    return tuple(found.get((g, t.id), ONLINE) for g, graph in enumerate(model.graphs) for t in graph.tensors)


def problem_of(allocation: Allocation) -> Problem:
    """What TFLM's planner has to place, as a packing problem."""
    return _problem(_requests(allocation), together=False)


def _problem(requests: Sequence[Request], together: bool) -> Problem:
    buffers: dict[object, Buffer] = {}
    for index, request in enumerate(requests):
        if request.first < 0:
            continue  # nothing touches it, so it clashes with nothing
        key = (request.graph, request.op) if together and request.tensor is None else index
        size = request.size + (buffers[key].size if key in buffers else 0)
        buffers[key] = Buffer(BufferId(index), size, Interval(request.first, request.last + 1), ALIGNMENT)
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
    return dataclasses.replace(online, nonpersistent_bytes=height, total_bytes=total, plan=plan)
