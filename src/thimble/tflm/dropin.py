# SPDX-License-Identifier: Apache-2.0
"""Rungs 1 and 2 for stock TFLM: a better operator order, and a memory plan that it reads from the file.

TFLM takes the plan's offsets as they are and then plans its kernels' scratch buffers around them with its own
greedy planner. So the offsets are packed together with the scratch, and what TFLM will end at is computed by
running its planner on the result: a plan is only worth writing when that is below what TFLM does by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
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
    """A file that stock TFLM runs in less memory: the order, the plan, and what TFLM will then allocate.

    `offsets` (one per tensor of all graphs) is None when no plan ends below TFLM's own for that order.
    """

    schedule: Schedule
    offsets: tuple[int, ...] | None
    allocation: Allocation


def reorder(model: Model, target: Target) -> tuple[Schedule, Allocation]:
    """Rung 1: the order of least peak for the target's kernels, and what TFLM's own planner makes of it."""
    bare = without_offline_plan(model)
    scratch = _bytes_per_operator(predict(bare, target).scratch)
    best = optimal_order(bare.main, scratch=scratch, alignment=ALIGNMENT)
    return best, predict(bare, target, order=best.order)


def improve(model: Model, target: Target, best: Schedule) -> DropIn:
    """Rung 2: the order and the plan with which stock TFLM's arena is smallest.

    Both the shipped order and `best` are packed; ties go to the file as it is, then to the shipped order, then to
    no plan at all.
    """
    shipped = predict(model, target)
    bare = without_offline_plan(model)
    candidates = [_plan(bare, target, order) for order in _distinct(shipped_schedule(bare.main), best)]
    found = min(candidates, key=lambda candidate: candidate.allocation.nonpersistent_bytes)
    if shipped.nonpersistent_bytes <= found.allocation.nonpersistent_bytes:
        return DropIn(shipped_schedule(model.main), None, shipped)
    return found


def _distinct(shipped: Schedule, best: Schedule) -> Iterator[Schedule]:
    yield shipped
    if best.order != shipped.order:
        yield best


def _bytes_per_operator(scratch: Sequence[Scratch]) -> dict[OpId, int]:
    """Scratch of the main graph's operators, each buffer rounded up as TFLM does."""
    sums: dict[OpId, int] = {}
    for request in scratch:
        if request.graph == 0:
            sums[request.op] = sums.get(request.op, 0) + -(-request.size // ALIGNMENT) * ALIGNMENT
    return sums


def _plan(model: Model, target: Target, schedule: Schedule) -> DropIn:
    """The best plan of one order, as TFLM will execute it."""
    online = predict(model, target, order=schedule.order)
    requests = [Request(b.size, b.first, b.last, ONLINE, b.what, b.graph, b.tensor, b.op) for b in online.plan]
    best = DropIn(schedule, None, online)
    for together in (False, True):
        if best.allocation.nonpersistent_bytes > online.lower_bound_bytes:
            offsets = _packed(requests, model, together)
            packed = DropIn(schedule, offsets, _as_executed(online, _fixed(requests, model, offsets)))
            best = min(best, packed, key=lambda candidate: candidate.allocation.nonpersistent_bytes)
    return best


def _packed(requests: Sequence[Request], model: Model, together: bool) -> tuple[int, ...]:
    """Offsets of least height for the tensors of all graphs, packed with the scratch.

    Args:
        requests: what TFLM plans for.
        model: the model.
        together: pack an operator's scratch buffers as one block, into which TFLM's first-fit always fits them
            however it orders them.
    """
    problem = _problem(requests, together)
    solution = pack(problem)
    assert not isinstance(solution, Infeasible)  # the arena's capacity is not limited
    verify_solution(problem, solution)
    place = {(requests[b.id].graph, requests[b.id].tensor): solution.offsets[i] for i, b in enumerate(problem.buffers)}
    return tuple(place.get((g, t.id), ONLINE) for g, graph in enumerate(model.graphs) for t in graph.tensors)


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
