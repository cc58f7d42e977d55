# SPDX-License-Identifier: Apache-2.0
"""The native order search against an exhaustive search in plain Python, and its certificate.

in 4 --> small 2 ----------> join 3      as listed: small waits beside large, 4 + 2 + 10 = 16
   \\--> large 10 --> tiny 1 --^         large first: only tiny waits, 4 + 10 + 1 = 15
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble import _core
from thimble.ir import Custom, DType, Graph, Kind, Op, OpId, Source, Tensor, TensorId
from thimble.lifetime import dependencies, first_violation, shipped_schedule
from thimble.schedule import optimal_order, schedule_peak
from thimble.verify import verify_schedule


@dataclass(frozen=True)
class Node:
    """One operator of a test graph: the tensors that it reads (numbered from the inputs on), its results' sizes."""

    reads: tuple[int, ...]
    sizes: tuple[int, ...]
    state: bool = False


def build(inputs: tuple[int, ...], nodes: tuple[Node, ...], outputs: tuple[int, ...] = ()) -> Graph:
    """A graph of opaque int8 operators; one that touches state reads a variable besides."""
    tensors = [Tensor(TensorId(i), f"in{i}", (size,), DType.INT8, kind=Kind.INPUT) for i, size in enumerate(inputs)]
    operators = []
    variable = TensorId(len(inputs) + sum(len(n.sizes) for n in nodes))
    for index, node in enumerate(nodes):
        results = []
        for size in node.sizes:
            results.append(TensorId(len(tensors)))
            tensors.append(Tensor(results[-1], f"t{len(tensors)}", (size,), DType.INT8))
        reads = tuple(TensorId(t) for t in node.reads) + ((variable,) if node.state else ())
        source = Source("drawn", "main", index)
        operators.append(Op(OpId(index), f"op{index}", Custom("drawn"), reads, tuple(results), source))
    tensors.append(Tensor(variable, "state", (1000,), DType.INT8, kind=Kind.VARIABLE))
    ids = tuple(TensorId(i) for i in range(len(inputs)))
    return Graph("drawn", tuple(tensors), tuple(operators), ids, tuple(TensorId(t) for t in outputs))


def least_peak(graph: Graph, scratch: dict[OpId, int], keep_inputs: bool) -> int:
    """Least peak over all topological orders, by dynamic programming over the sets of executed operators."""
    before = [sum(1 << p for p in needs) for needs in dependencies(graph)]
    held = set(graph.outputs) | (set(graph.inputs) if keep_inputs else set())
    writer = {t: op.id for op in graph.ops for t in op.outputs}
    readers = {t.id: sum(1 << op.id for op in graph.ops if t.id in op.inputs) for t in graph.tensors}
    mine = [t for t in graph.tensors if t.in_arena and (t.id in writer or t.id in graph.inputs)]

    def bytes_at(done: int, op: OpId) -> int:
        total = scratch.get(op, 0)
        for tensor in mine:
            wanted = tensor.id in held or readers[tensor.id] & ~done
            if tensor.id in writer:
                born = done >> writer[tensor.id] & 1
                alive = writer[tensor.id] == op or (born and wanted)
            else:
                alive = wanted or done == 0  # an input that nobody reads lives in the first step
            total += tensor.nbytes if alive else 0
        return total

    best = {0: 0}
    for _ in graph.ops:
        following: dict[int, int] = {}
        for done, peak in best.items():
            for op in graph.ops:
                if done >> op.id & 1 or before[op.id] & ~done:
                    continue
                then, value = done | 1 << op.id, max(peak, bytes_at(done, op.id))
                following[then] = min(value, following.get(then, value))
        best = following
    return best[(1 << len(graph.ops)) - 1]


def check(graph: Graph, scratch: dict[OpId, int] | None = None, keep_inputs: bool = False) -> None:
    """The search is right, proven, honest about its peak, and keeps the shipped order where that is optimal."""
    found = optimal_order(graph, scratch=scratch, keep_inputs=keep_inputs)
    verify_schedule(graph, found)
    assert first_violation(graph, found) is None
    assert found.peak == schedule_peak(graph, found, scratch=scratch, keep_inputs=keep_inputs)
    assert found.peak == found.lower_bound == least_peak(graph, scratch or {}, keep_inputs)
    shipped = shipped_schedule(graph)
    if schedule_peak(graph, shipped, scratch=scratch, keep_inputs=keep_inputs) == found.peak:
        assert found.order == shipped.order
        assert found.method == "shipped"
    else:
        assert found.method == "search"


def seeded_graph(seed: int, most: int = 11) -> tuple[Graph, dict[OpId, int]]:
    """A random graph with dead results, several outputs, unread inputs, zero-byte tensors and state."""
    rng = random.Random(seed)
    inputs = tuple(rng.choice((0, 1, 5, 20)) for _ in range(rng.randint(1, 3)))
    window = rng.choice((None, 3, 6))
    count, nodes = len(inputs), []
    for _ in range(rng.randint(1, most)):
        pool = range(count) if window is None else range(max(0, count - window), count)
        reads = tuple(rng.choice(pool) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))
        sizes = tuple(rng.choice((0, 1, 2, 3, 7, 20, 21)) for _ in range(rng.choice((0, 1, 1, 1, 1, 2))))
        nodes.append(Node(reads, sizes, rng.random() < 0.1))
        count += len(sizes)
    outputs = tuple(t for t in range(count) if rng.random() < 0.08)
    scratch = {OpId(i): rng.randint(1, 15) for i in range(len(nodes)) if rng.random() < 0.25}
    return build(inputs, tuple(nodes), outputs), scratch


@pytest.mark.parametrize("start", range(0, 600, 50))
def test_seeded_graphs_equal_brute_force(start: int) -> None:
    for seed in range(start, start + 50):
        graph, scratch = seeded_graph(seed)
        check(graph, scratch, keep_inputs=seed % 3 == 0)


@st.composite
def drawn_graphs(draw: st.DrawFn) -> tuple[Graph, dict[OpId, int]]:
    inputs = tuple(draw(st.lists(st.integers(0, 30), min_size=1, max_size=3)))
    count, nodes = len(inputs), []
    for _ in range(draw(st.integers(1, 8))):
        reads = tuple(draw(st.lists(st.integers(0, count - 1), max_size=3)))
        sizes = tuple(draw(st.lists(st.integers(0, 30), max_size=2)))
        nodes.append(Node(reads, sizes, draw(st.booleans()) and draw(st.booleans())))
        count += len(sizes)
    outputs = tuple(draw(st.lists(st.integers(0, count - 1), max_size=2, unique=True)))
    scratch = draw(st.dictionaries(st.integers(0, len(nodes) - 1).map(OpId), st.integers(0, 30), max_size=3))
    return build(inputs, tuple(nodes), outputs), scratch


@settings(max_examples=200, deadline=None)
@given(drawn_graphs(), st.booleans())
def test_drawn_graphs_equal_brute_force(drawn: tuple[Graph, dict[OpId, int]], keep_inputs: bool) -> None:
    check(*drawn, keep_inputs=keep_inputs)


def test_a_branch_that_shrinks_runs_first() -> None:
    # Two branches from the input (4): 4 -> 10 -> 1 and 4 -> 2. As listed the small one waits beside the large one:
    # 4 + 2 + 10 = 16. The other way round only the shrunk result waits: max(4 + 10, 4 + 10 + 1, 4 + 1 + 2) = 15.
    graph = build((4,), (Node((0,), (2,)), Node((0,), (10,)), Node((2,), (1,)), Node((1, 3), (3,))), (4,))
    assert schedule_peak(graph, shipped_schedule(graph)) == 16
    found = optimal_order(graph)
    assert (found.order, found.peak, found.lower_bound) == ((1, 2, 0, 3), 15, 15)


def test_kept_inputs_count_to_the_end() -> None:
    graph = build((5,), (Node((0,), (1,)), Node((1,), (9,)), Node((2,), (2,))), (3,))
    assert optimal_order(graph).peak == 11  # 9 + 2; the input is gone
    assert optimal_order(graph, keep_inputs=True).peak == 16


def test_an_unread_input_decides_who_runs_first() -> None:
    # The unread 100 lives in the first step only, so the small operator must take that step.
    graph = build((100,), (Node((), (50,)), Node((), (1,)), Node((1, 2), (1,))), (3,))
    found = optimal_order(graph)
    assert (found.order, found.peak, found.lower_bound) == ((1, 0, 2), 101, 101)


def test_state_keeps_the_files_order() -> None:
    nodes = (Node((0,), (2,), state=True), Node((0,), (10,)), Node((2,), (1,), state=True), Node((1, 3), (3,)))
    graph = build((4,), nodes, (4,))
    assert optimal_order(graph).peak == 16  # the better order would swap the two that touch state


def test_operators_without_tensors_and_empty_graphs() -> None:
    assert optimal_order(build((), ())).peak == 0
    found = optimal_order(build((7,), (Node((), ()), Node((0,), ()))))
    assert (found.order, found.peak) == ((0, 1), 7)


def test_without_a_budget_the_gap_is_stated() -> None:
    rng = random.Random(1)
    nodes = tuple(Node((rng.randint(0, i), rng.randint(max(0, i - 5), i)), (rng.randint(1, 99),)) for i in range(60))
    graph = build((50,), nodes, (60,))
    poor = optimal_order(graph, budget=0)
    assert poor.order == shipped_schedule(graph).order
    assert poor.nodes == 0
    best = optimal_order(graph)
    assert poor.lower_bound is not None
    assert best.peak is not None
    assert best.peak == best.lower_bound
    assert poor.lower_bound <= best.peak < schedule_peak(graph, poor)


def test_the_same_graph_gives_the_same_schedule() -> None:
    graph, scratch = seeded_graph(17, most=40)
    assert optimal_order(graph, scratch=scratch) == optimal_order(graph, scratch=scratch)


def chain_of_blocks(blocks: int) -> Graph:
    """Blocks of two branches that meet again; in each, the branch that shrinks is listed last."""
    nodes, last = [], 0
    for _ in range(blocks):
        nodes += [Node((last,), (2,)), Node((last,), (10,)), Node((last + 2,), (1,)), Node((last + 1, last + 3), (4,))]
        last += 4
    return build((4,), tuple(nodes), (last,))


def test_a_chain_of_blocks_falls_apart() -> None:
    graph = chain_of_blocks(2_000)
    found = optimal_order(graph)
    assert (found.peak, found.lower_bound) == (15, 15)
    assert found.order[:8] == (1, 2, 0, 3, 5, 6, 4, 7)
    assert found.nodes <= 5 * 2_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0], [1], [5], [0], ([0, 0], []), ([0, 0], []), 1), "producer is out of range"),
        (([0], [1], [0], [0], ([0, 1], [0]), ([0, 0], []), 1), "reader must come after the producer"),
        (([0], [-1], [0], [0], ([0, 0], []), ([0, 0], []), 1), "sizes must not be negative"),
        (([-1], [], [], [], ([0], []), ([0, 0], []), 1), "scratch bytes must not be negative"),
        (([0], [], [], [], ([0], []), ([0, 1], [0]), 1), "listed after what they need"),
        (([0], [1], [], [0], ([0, 0], []), ([0, 0], []), 1), "unequal length"),
        (([0], [1], [0], [0], ([0, 9], []), ([0, 0], []), 1), "stay within their list"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.order_search(*arguments)  # type: ignore[arg-type]


def test_sums_beyond_the_range_are_refused() -> None:
    with pytest.raises(OverflowError):
        _core.order_search([2**61], [2**61], [-1], [0], ([0, 0], []), ([0, 0], []), 1)
