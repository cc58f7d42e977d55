# SPDX-License-Identifier: Apache-2.0
"""Graph and schedule to lifetimes: what must be kept, from which step to which.

step        0     1     2     3
input     |====|                     the caller fills it before step 0
relu            |=====|====|====|    read again at step 3
concat                     |====|    a graph output lives to the end
"""

from __future__ import annotations

from collections.abc import Iterable

from thimble.errors import InternalError, OptionError
from thimble.ir import DType, Graph, Kind, OpId, TensorId
from thimble.memory import Interval, Schedule


def shipped_schedule(graph: Graph) -> Schedule:
    """The order in which the file lists its operators."""
    return Schedule(tuple(op.id for op in graph.ops))


def lifetimes(graph: Graph, schedule: Schedule, *, keep_inputs: bool = False) -> dict[TensorId, Interval]:
    """Lifetime of every tensor that takes arena bytes, in steps of the schedule.

    Graph inputs live from step 0 (to the last with `keep_inputs`), graph outputs to the last step; a result that
    nobody reads lives while its operator runs. Constants and variables are not in the result: they are not arena
    memory.
    """
    steps = max(1, len(schedule.order))  # a graph without operators still has its inputs
    start = {tensor: 0 for tensor in graph.given if graph.tensors[tensor].in_arena}
    stop = dict.fromkeys(start, 1)
    for step, index in enumerate(schedule.order):
        op = graph.ops[index]
        for tensor in op.outputs:
            if graph.tensors[tensor].in_arena:
                start.setdefault(tensor, step)
                stop[tensor] = step + 1
        for operand in op.inputs:
            if operand is not None and operand in start:
                stop[operand] = step + 1
    for tensor in (*graph.outputs, *(graph.inputs if keep_inputs else ())):
        if tensor in start:
            stop[tensor] = steps
    return {tensor: Interval(start[tensor], stop[tensor]) for tensor in sorted(start)}


def live_sums(sizes: Iterable[tuple[Interval, int]], steps: int) -> tuple[int, ...]:
    """Bytes live at each step, given (lifetime, bytes) pairs. Linear in pairs + steps."""
    change = [0] * (max(1, steps) + 1)
    for interval, size in sizes:
        change[interval.start] += size
        change[interval.stop] -= size
    sums, now = [], 0
    for delta in change[:steps]:
        now += delta
        sums.append(now)
    return tuple(sums)


def read_order(graph: Graph, text: str, origin: str) -> Schedule:
    """A schedule from a text of operator indices, separated by white space or commas.

    Raises:
        OptionError: not a permutation of the graph's operators, or an operator before one it reads from.
    """
    try:
        order = [int(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise OptionError(f"{origin}: an order is a list of operator indices: {error}") from None
    if sorted(order) != list(range(len(graph.ops))):
        raise OptionError(f"{origin}: must list each of the {len(graph.ops)} operators of '{graph.name}' once, from 0")
    schedule = Schedule(tuple(OpId(i) for i in order), method="given")
    late = first_violation(graph, schedule)
    if late is not None:
        reader, writer = late
        first, second = graph.ops[reader].label, graph.ops[writer].label
        raise OptionError(f"{origin}: {first} runs before {second}, which it reads from")
    return schedule


def dependencies(graph: Graph) -> tuple[tuple[OpId, ...], ...]:
    """For each operator the operators that must run before it.

    Besides reading what another wrote, operators that touch state (variables, resources, called graphs)
    keep the file's order among themselves.
    """
    writer: dict[TensorId, OpId] = {}
    before: list[tuple[OpId, ...]] = []
    last_state: OpId | None = None
    for op in graph.ops:
        needs = {writer[i] for i in op.inputs if i is not None and i in writer}
        if touches_state(graph, op.id):
            if last_state is not None:
                needs.add(last_state)
            last_state = op.id
        writer.update(dict.fromkeys(op.outputs, op.id))
        before.append(tuple(sorted(needs)))
    return tuple(before)


def touches_state(graph: Graph, index: OpId) -> bool:
    """Whether the operator reads or writes something that outlives the inference."""
    op = graph.ops[index]
    touched = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i is not None]
    return bool(op.attrs.subgraphs()) or any(t.kind is Kind.VARIABLE or t.dtype is DType.RESOURCE for t in touched)


def first_violation(graph: Graph, schedule: Schedule) -> tuple[OpId, OpId] | None:
    """The first operator of the schedule that runs before one it depends on, with that one; None if all is well."""
    done: set[OpId] = set()
    before = dependencies(graph)
    for index in schedule.order:
        if not 0 <= index < len(before):
            raise InternalError(f"the schedule names operator {index}, which the graph does not have")
        for needed in before[index]:
            if needed not in done:
                return index, needed
        done.add(index)
    return None
