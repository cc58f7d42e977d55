# SPDX-License-Identifier: Apache-2.0
"""Lifetimes and live sums: a graph worked by hand, and equality with the definition on random graphs.

step        0     1     2     3
x    (4) |====|                        read at step 0 only
state                                  a variable: not arena memory
a    (8)  |====|=====|=====|=====|     read again at step 3
b   (12)       |=====|                 nobody reads it
c    (0)                               no bytes, no lifetime
d    (8)             |=====|=====|     read at step 3
y   (16)                   |=====|     an output
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies_graphs import graphs, schedules, slow_lifetimes
from thimble.errors import InternalError, OptionError
from thimble.ir import Custom, DType, Graph, Kind, Op, OpId, Source, Tensor, TensorId
from thimble.lifetime import dependencies, first_violation, lifetimes, live_sums, read_order, shipped_schedule
from thimble.memory import Interval, Schedule

NAMES = ("x", "state", "a", "b", "c", "d", "y")
SIZES = (4, 64, 8, 12, 0, 8, 16)
KINDS = (Kind.INPUT, Kind.VARIABLE, *[Kind.ACTIVATION] * 5)
WIRES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((0,), (2,)),  # step 0: x -> a
    ((2, 1), (3, 4)),  # step 1: a and the variable -> b and c
    ((4, 2), (5,)),  # step 2: c and a -> d
    ((2, 5), (6, 1)),  # step 3: a and d -> y, and the variable's next value
)


def graph_of(outputs: tuple[int, ...] = (6,)) -> Graph:
    tensors = tuple(
        Tensor(TensorId(i), name, (size,), DType.INT8, None, kind)
        for i, (name, size, kind) in enumerate(zip(NAMES, SIZES, KINDS, strict=True))
    )
    ops = tuple(
        Op(
            OpId(i),
            f"op{i}",
            Custom("any"),
            tuple(TensorId(t) for t in reads),
            tuple(TensorId(t) for t in writes),
            Source("f.tflite", "g", i),
        )
        for i, (reads, writes) in enumerate(WIRES)
    )
    return Graph("g", tensors, ops, (TensorId(0),), tuple(TensorId(t) for t in outputs))


def test_the_drawn_graph() -> None:
    graph = graph_of()
    lives = lifetimes(graph, shipped_schedule(graph))
    named = {NAMES[t]: (life.start, life.stop) for t, life in lives.items()}
    assert named == {"x": (0, 1), "a": (0, 4), "b": (1, 2), "d": (2, 4), "y": (3, 4)}
    # x + a; a + b; a + d; a + d + y
    sizes = [(life, graph.tensors[t].nbytes) for t, life in lives.items()]
    assert live_sums(sizes, 4) == (12, 20, 16, 32)


def test_an_output_that_is_read_lives_to_the_end_too() -> None:
    graph = graph_of(outputs=(6, 3))
    assert lifetimes(graph, shipped_schedule(graph))[TensorId(3)] == Interval(1, 4)


def test_an_input_that_is_an_output_lives_throughout() -> None:
    graph = graph_of(outputs=(0,))
    assert lifetimes(graph, shipped_schedule(graph))[TensorId(0)] == Interval(0, 4)


@given(st.data())
def test_lifetimes_equal_their_definition(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    schedule = data.draw(schedules(graph))
    assert lifetimes(graph, schedule) == slow_lifetimes(graph, schedule)


@given(st.data())
def test_live_sums_equal_their_definition(data: st.DataObject) -> None:
    steps = data.draw(st.integers(0, 8))
    ends = st.tuples(st.integers(0, steps), st.integers(0, steps)).map(sorted)
    pairs = data.draw(st.lists(st.tuples(ends, st.integers(0, 100))))
    sizes = [(Interval(start, stop), size) for (start, stop), size in pairs]
    slow = tuple(sum(size for life, size in sizes if life.start <= step < life.stop) for step in range(steps))
    assert live_sums(sizes, steps) == slow


@given(st.data())
def test_schedules_that_keep_the_dependencies_have_no_violation(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    schedule = data.draw(schedules(graph))
    assert first_violation(graph, schedule) is None
    place = {index: step for step, index in enumerate(schedule.order)}
    assert all(place[b] < place[index] for index, before in enumerate(dependencies(graph)) for b in before)


def test_dependencies_of_the_drawn_graph() -> None:
    # Operators 1 and 3 both touch the variable: 3 stays behind 1 although it reads nothing that 1 wrote.
    assert dependencies(graph_of()) == ((), (0,), (0, 1), (0, 1, 2))


def test_a_violation_names_both_operators() -> None:
    assert first_violation(graph_of(), Schedule((OpId(1), OpId(0), OpId(2), OpId(3)))) == (1, 0)
    with pytest.raises(InternalError, match="names operator 4, which the graph does not have"):
        first_violation(graph_of(), Schedule((OpId(4),)))


def test_orders_are_read_from_text() -> None:
    assert read_order(graph_of(), "0, 1\n2 3", "order.txt").order == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2", "order.txt: must list each of the 4 operators of 'g' once, from 0"),
        ("0 1 1 2", "order.txt: must list each of the 4 operators of 'g' once, from 0"),
        ("0 1 two 3", "order.txt: an order is a list of operator indices"),
        ("1 0 2 3", r"any 'op1' \(operator 1 of f.tflite\) runs before any 'op0' \(operator 0 of f.tflite\)"),
    ],
)
def test_orders_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read_order(graph_of(), text, "order.txt")
