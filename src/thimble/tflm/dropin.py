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


@dataclass(frozen=True, slots=True)
class DropIn:
    """What TFLM can be brought to without changing TFLM.

    `shipped` is the file as it is; `reordered` its least peak with TFLM's own planner; `planned` with our plan.
    `schedule` is the order that `offsets` (one per tensor of all graphs) belong to. `offsets` is None when no
    plan ends below TFLM's own for that order.
    """

    shipped: Allocation
    reordered: Allocation
    planned: Allocation
    reordering: Schedule
    schedule: Schedule
    offsets: tuple[int, ...] | None
    packing_bound: int

    @property
    def improves(self) -> bool:
        return self.planned.nonpersistent_bytes < self.shipped.nonpersistent_bytes


def improve(model: Model, target: Target) -> DropIn:
    """Find the order and the plan with which stock TFLM's arena is smallest.

    Both the shipped and the best order are packed, and ties go to the shipped order, then to no plan at all.
    """
    shipped = predict(model, target)
    bare = without_offline_plan(model)
    scratch = _bytes_per_operator(shipped.scratch)
    best = optimal_order(bare.main, scratch=scratch, alignment=ALIGNMENT)
    reordered = predict(bare, target, order=best.order)
    candidates = [_plan(bare, target, order) for order in _distinct(shipped_schedule(bare.main), best)]
    schedule, offsets, planned, bound = min(candidates, key=lambda found: found[2].nonpersistent_bytes)
    if shipped.nonpersistent_bytes <= planned.nonpersistent_bytes:
        schedule, offsets, planned = shipped_schedule(model.main), None, shipped
    return DropIn(shipped, reordered, planned, best, schedule, offsets, bound)


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


def _plan(model: Model, target: Target, schedule: Schedule) -> tuple[Schedule, tuple[int, ...] | None, Allocation, int]:
    """The best plan of one order, as TFLM will execute it, with the lower bound on any plan of that order."""
    online = predict(model, target, order=schedule.order)
    requests = [Request(b.size, b.first, b.last, ONLINE, b.what, b.graph, b.tensor, b.op) for b in online.plan]
    found: tuple[tuple[int, ...] | None, int, int] = (None, online.nonpersistent_bytes, online.lower_bound_bytes)
    if online.nonpersistent_bytes > online.lower_bound_bytes:
        for together in (False, True):
            found = min(found, _packed(requests, model, together), key=lambda candidate: candidate[1])
    offsets, height, bound = found
    return schedule, offsets, _as_executed(online, requests, model, offsets, height), bound


def _packed(requests: Sequence[Request], model: Model, together: bool) -> tuple[tuple[int, ...], int, int]:
    """Offsets for the tensors, the height at which TFLM ends with them, and the packing's lower bound.

    Args:
        requests: what TFLM plans for.
        model: the model.
        together: pack an operator's scratch buffers as one block, into which TFLM's first-fit always fits them
            however it orders them.
    """
    problem = _problem(requests, together)
    solution = pack(problem)
    assert not isinstance(solution, Infeasible)  # the arena's capacity is not limited
    place = {(requests[b.id].graph, requests[b.id].tensor): solution.offsets[i] for i, b in enumerate(problem.buffers)}
    offsets = tuple(place.get((g, t.id), ONLINE) for g, graph in enumerate(model.graphs) for t in graph.tensors)
    _, height = greedy(_fixed(requests, model, offsets))
    return offsets, height, solution.lower_bound


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


def _as_executed(
    online: Allocation, requests: Sequence[Request], model: Model, offsets: Sequence[int] | None, height: int
) -> Allocation:
    if offsets is None:
        return online
    places, _ = greedy(_fixed(requests, model, offsets))
    plan = tuple(dataclasses.replace(b, offset=place) for b, place in zip(online.plan, places, strict=True))
    total = online.total_bytes - online.nonpersistent_bytes + height
    return dataclasses.replace(online, nonpersistent_bytes=height, total_bytes=total, plan=plan)
