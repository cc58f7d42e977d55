# SPDX-License-Identifier: Apache-2.0
"""Graph to the operator order of least peak, with its certificate (rung 1).

The search itself is native (core/order_search.h); this file says what it searches: which tensors there are, who
writes and reads them, which stay to the end, and which operators keep their order for other reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

from thimble import _core
from thimble.ir import Graph, OpId, TensorId
from thimble.lifetime import dependencies, lifetimes, live_sums
from thimble.memory import Schedule

DEFAULT_BUDGET = 4_000_000


def optimal_order(
    graph: Graph,
    *,
    scratch: Mapping[OpId, int] | None = None,
    keep_inputs: bool = False,
    alignment: int = 1,
    budget: int = DEFAULT_BUDGET,
) -> Schedule:
    """Find an order whose peak (largest live sum of any step) is least.

    The shipped order is returned whenever no order has a smaller peak. Deterministic. Linear in the graph but for
    the parts that really have to be searched.

    Args:
        graph: any valid graph; operators that are not understood can be moved like all others.
        scratch: bytes that operators need only while they run.
        keep_inputs: graph inputs survive the inference, as `lifetimes` has it for graph outputs.
        alignment: tensors are counted in multiples of this many bytes, as an allocator rounds them.
        budget: search states to expand, over all parts of the graph. When they run out, the best order found is
            returned, and `lower_bound < peak` states the gap.

    Returns:
        A schedule with `peak`, `lower_bound` (proven), `nodes`, and the method: "shipped" when the file's own order
        is returned, otherwise "search".
    """
    held = frozenset(graph.outputs) | (frozenset(graph.inputs) if keep_inputs else frozenset())
    tensors = sorted(_tensors(graph))
    place = {tensor: i for i, tensor in enumerate(tensors)}
    producers, readers = [-1] * len(tensors), [list[int]() for _ in tensors]
    for op in graph.ops:
        for index in op.outputs:
            if index in place:
                producers[place[index]] = op.id
        for operand in dict.fromkeys(op.inputs):
            if operand is not None and operand in place:
                readers[place[operand]].append(op.id)
    order, peak, bound, nodes = _core.order_search(
        [(scratch or {}).get(op.id, 0) for op in graph.ops],
        [-(-graph.tensors[t].nbytes // alignment) * alignment for t in tensors],
        producers,
        [int(t in held) for t in tensors],
        _rows(readers),
        _rows(dependencies(graph)),
        budget,
    )
    method = "shipped" if order == list(range(len(order))) else "search"
    return Schedule(tuple(OpId(i) for i in order), method=method, peak=peak, lower_bound=bound, nodes=nodes)


def schedule_peak(
    graph: Graph, schedule: Schedule, *, scratch: Mapping[OpId, int] | None = None, keep_inputs: bool = False
) -> int:
    """Largest live sum of any step, scratch included; what `optimal_order` makes least."""
    steps = len(schedule.order)
    spans = lifetimes(graph, schedule, keep_inputs=keep_inputs)
    sums = live_sums([(span, graph.tensors[t].nbytes) for t, span in spans.items()], steps)
    return max((live + (scratch or {}).get(op, 0) for op, live in zip(schedule.order, sums, strict=True)), default=0)


def _tensors(graph: Graph) -> set[TensorId]:
    """Tensors that ever take arena bytes: what is given, and what operators write."""
    written = {index for op in graph.ops for index in op.outputs}
    return {t for t in written | set(graph.given) if graph.tensors[t].in_arena}


def _rows(lists: Iterable[Iterable[int]]) -> tuple[list[int], list[int]]:
    """Lists one after the other: where each starts and the last one stops, and all items."""
    rows = [list(row) for row in lists]
    return [0, *accumulate(len(row) for row in rows)], [item for row in rows for item in row]
