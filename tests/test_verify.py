# SPDX-License-Identifier: Apache-2.0
"""One broken value per kind of error that the verifier knows, and what it must never let through.

The graph of these tests, each tensor 4 bytes, and a correct plan for it (memory upwards, time to the right):

    x -> RELU -> a -> RELU -> b -+-> ADD -> y         bytes
     \\___________________________/                     12 +-----+-----+-----+
                                                           |     | b         |
                                                         8 +-----+-----+-----+
                                                           | a         | y   |
                                                         4 +-----+-----+-----+
                                                           | x               |
                                                         0 +-----+-----+-----+
                                                      step    0     1     2
"""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from strategies_graphs import first_fit, graphs, plans, schedules, slow_lifetimes
from thimble.errors import InternalError
from thimble.ir import Graph, Kind, Op, OpId, Source, Tensor, TensorId
from thimble.lifetime import shipped_schedule
from thimble.memory import Interval, Placement, Plan, Schedule, Scratch
from thimble.ops.add import Add
from thimble.ops.relu import Relu
from thimble.ops.reshape import Reshape
from thimble.ops.softmax import Softmax
from thimble.verify import verify_graph, verify_plan, verify_schedule

X, A, B, Y = (TensorId(i) for i in range(4))
FIRST, SECOND, LAST = (OpId(i) for i in range(3))


def tensor(index: int, name: str, kind: Kind = Kind.ACTIVATION, shape: tuple[int, ...] = (1, 4)) -> Tensor:
    from thimble.ir import DType

    return Tensor(TensorId(index), name, shape, DType.INT8, None, kind)


def op(index: int, attrs: Relu | Add | Reshape, inputs: tuple[int, ...], output: int) -> Op:
    names = tuple(TensorId(i) for i in inputs)
    return Op(OpId(index), f"op{index}", attrs, names, (TensorId(output),), Source("f.tflite", "g", index))


GRAPH = Graph(
    "g",
    (tensor(0, "x", Kind.INPUT), tensor(1, "a"), tensor(2, "b"), tensor(3, "y")),
    (op(0, Relu(), (0,), 1), op(1, Relu(), (1,), 2), op(2, Add(), (2, 0), 3)),
    (X,),
    (Y,),
)
PLACES = {X: 0, A: 4, B: 8, Y: 4}


def changed(
    graph: Graph = GRAPH, *, tensors: dict[int, Tensor] | None = None, ops: dict[int, Op] | None = None
) -> Graph:
    """The graph with some tensors and operators, by place, replaced."""
    return dataclasses.replace(
        graph,
        tensors=tuple((tensors or {}).get(i, t) for i, t in enumerate(graph.tensors)),
        ops=tuple((ops or {}).get(i, o) for i, o in enumerate(graph.ops)),
    )


def plan(places: dict[TensorId, int] | None = None, scratch: tuple[Scratch, ...] = (), height: int = 12) -> Plan:
    """The correct plan, with some offsets changed."""
    offsets = {**PLACES, **(places or {})}
    placements = tuple((t, Placement(0, offset)) for t, offset in offsets.items())
    return Plan(GRAPH, shipped_schedule(GRAPH), placements, scratch, (height,))


def block(step: int, offset: int, size: int = 4) -> Scratch:
    return Scratch(OpId(step), size, Placement(0, offset))


def test_the_correct_values_pass() -> None:
    verify_graph(GRAPH)
    verify_schedule(GRAPH, shipped_schedule(GRAPH))
    verify_plan(plan())
    verify_plan(plan(scratch=(block(0, 8), block(1, 12), block(2, 12)), height=16))  # in the holes and on top


BROKEN_GRAPHS = {
    "tensor ids are not dense": (changed(tensors={1: tensor(2, "a")}), "tensor 1 has the id 2"),
    "negative dimension": (changed(tensors={1: tensor(1, "a", shape=(1, -4))}), "tensor 'a' has a negative dimension"),
    "operator ids are not dense": (changed(ops={1: op(2, Relu(), (1,), 2)}), "operator 1 has the id 2"),
    "operand out of range": (changed(ops={1: op(1, Relu(), (9,), 2)}), "op1.*names tensor 9, which does not exist"),
    "negative operand": (changed(ops={1: op(1, Relu(), (-1,), 2)}), "op1.*names tensor -1, which does not exist"),
    "result out of range": (changed(ops={1: op(1, Relu(), (1,), 4)}), "op1.*names tensor 4, which does not exist"),
    "read before write": (changed(ops={0: op(0, Relu(), (2,), 1)}), "op0.*reads tensor 2 before it is written"),
    "written twice": (changed(ops={1: op(1, Relu(), (1,), 1)}), "op1.*writes tensor 1, which already has a value"),
    "an input is written": (changed(ops={1: op(1, Relu(), (1,), 0)}), "op1.*writes tensor 0, which already has"),
    "wrong shape": (
        changed(tensors={2: tensor(2, "b", shape=(4, 2))}),
        re.escape("RELU 'op1' (operator 1 of f.tflite): 'b' should have the shape [1, 4]"),
    ),
    "operands do not go together": (
        changed(ops={1: op(1, Reshape((5,)), (1,), 2)}),
        re.escape("RESHAPE 'op1' (operator 1 of f.tflite): 4 elements cannot take the shape [5]"),
    ),
    "output never written": (dataclasses.replace(GRAPH, ops=GRAPH.ops[:2]), "output 3 of graph 'g' is never written"),
}


@pytest.mark.parametrize(("graph", "message"), BROKEN_GRAPHS.values(), ids=BROKEN_GRAPHS)
def test_broken_graphs(graph: Graph, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        verify_graph(graph)


BROKEN_SCHEDULES = {
    "missing": ((FIRST, SECOND), "does not run each operator exactly once"),
    "repeated": ((FIRST, SECOND, SECOND, LAST), "does not run each operator exactly once"),
    "one instead of another": ((FIRST, FIRST, LAST), "does not run each operator exactly once"),
    "unknown": ((FIRST, SECOND, OpId(3)), "does not run each operator exactly once"),
    "too early": ((SECOND, FIRST, LAST), re.escape("'op1' (operator 1 of f.tflite) is scheduled before tensor 1 is")),
    "too early at the end": ((FIRST, LAST, SECOND), "op2.* is scheduled before tensor 2 is written"),
}


@pytest.mark.parametrize(("order", "message"), BROKEN_SCHEDULES.values(), ids=BROKEN_SCHEDULES)
def test_broken_schedules(order: tuple[OpId, ...], message: str) -> None:
    with pytest.raises(InternalError, match=message):
        verify_schedule(GRAPH, Schedule(order))


def without(index: TensorId) -> Plan:
    sound = plan()
    return dataclasses.replace(sound, placements=tuple(p for p in sound.placements if p[0] != index))


def moved(index: TensorId, place: Placement) -> Plan:
    sound = plan()
    return dataclasses.replace(sound, placements=tuple((t, place if t == index else p) for t, p in sound.placements))


def twice() -> Plan:
    sound = plan()
    return dataclasses.replace(sound, placements=(*sound.placements, (X, Placement(0, 8))))


def wrong_order() -> Plan:
    return dataclasses.replace(plan(), schedule=Schedule((SECOND, FIRST, LAST)))


def unfed() -> Plan:
    return dataclasses.replace(plan(), graph=dataclasses.replace(GRAPH, inputs=()))


# The drawings show bytes upwards, one column per step; `!` marks the step and the bytes that clash.
BROKEN_PLANS = {
    "no place": (without(B), "tensor 'b' has no place"),
    "two places": (twice(), "a tensor has two places"),
    "outside the arena": (plan({B: 9}), "tensor 'b' from 9 to 13 leaves its arena of 12 bytes"),
    "below the arena": (plan({A: -1}), "tensor 'a' from -1 to 3 leaves its arena of 12 bytes"),
    "scratch outside": (plan(scratch=(block(0, 10),)), "scratch of operator 0 from 10 to 14 leaves its arena"),
    "no such arena": (moved(A, Placement(1, 0)), "tensor 'a' is in arena 1, which does not exist"),
    "arena -1": (moved(A, Placement(-1, 0)), "tensor 'a' is in arena -1, which does not exist"),
    "schedule": (wrong_order(), "op1.* is scheduled before tensor 1 is written"),
    # x |===|===|===|     a is written over the first byte of x at step 0, and x is read by that very operator.
    # a |!==|===|
    "an output overlaps its own input": (
        plan({A: 3, B: 7, Y: 8}),
        "step 0, RELU 'op0'.*: tensor 'x' was overwritten by tensor 'a'",
    ),
    # x |===|===|!==|     b is written over x at step 1; x waits for its second reader at step 2.
    # b     |===|===|
    "an input is clobbered before its reader": (
        plan({B: 0}),
        "step 2, ADD 'op2'.*: tensor 'x' was overwritten by tensor 'b'",
    ),
    # b     |===|!==|     y shares one byte with b, which is still being read while y is written.
    # y         |===|
    "clobbered by a tensor": (plan({Y: 5}), "step 2, ADD 'op2'.*: tensor 'b' was overwritten by tensor 'y'"),
    # a |===|!==|         the scratch of step 1 lies on a while a is being read.
    # s     |===|
    "clobbered by scratch": (
        plan(scratch=(block(1, 6, 2),)),
        "step 1, RELU 'op1'.*: tensor 'a' was overwritten by scratch of operator 1",
    ),
    "scratch on an input that waits": (
        plan(scratch=(block(1, 0, 1),)),
        "step 2, ADD 'op2'.*: tensor 'x' was overwritten by scratch of operator 1",
    ),
    # The output is written after the scratch, and the kernel would find its scratch spoilt.
    "scratch clobbered by its operator's output": (
        plan(scratch=(block(2, 4),)),
        "step 2, ADD 'op2'.*: scratch of operator 2 was overwritten by tensor 'y'",
    ),
    "two scratch blocks of one operator": (
        plan(scratch=(block(0, 8, 3), block(0, 10, 2))),
        "step 0.*: scratch of operator 0 was overwritten by scratch of operator 0",
    ),
    "never filled": (
        unfed(),
        re.escape("step 0, RELU 'op0' (operator 0 of f.tflite): tensor 'x' was overwritten by nothing"),
    ),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN_PLANS.values(), ids=BROKEN_PLANS)
def test_broken_plans(broken: Plan, message: str) -> None:
    with pytest.raises(InternalError, match=message):
        verify_plan(broken)


def test_an_output_clobbered_after_its_writer() -> None:
    """`a` is an output of the graph too, and y is written over it: nobody reads it again but the caller.

    a |===|===|===| ! end
    y         |===|
    """
    both = dataclasses.replace(GRAPH, outputs=(A, Y))
    with pytest.raises(InternalError, match="the end: tensor 'a' was overwritten by tensor 'y'"):
        verify_plan(dataclasses.replace(plan(), graph=both))


def test_only_an_operator_that_bears_it_writes_over_a_dying_operand() -> None:
    """`b` at the place of `a`, which dies there; then half over it; over `x`, which lives on; and with a SOFTMAX.

    a      |===|
    b          |===|
    """
    verify_plan(plan({B: 4}), in_place=True)
    softmax = dataclasses.replace(GRAPH.ops[1], attrs=Softmax(1.0))
    for broken, message in (
        (plan({B: 6}), "step 1, RELU 'op1'.*: tensor 'a' was overwritten by tensor 'b'"),
        (plan({A: 0, Y: 8}), "step 2, ADD 'op2'.*: tensor 'x' was overwritten by tensor 'a'"),
        (dataclasses.replace(plan({B: 4}), graph=changed(ops={1: softmax})), "SOFTMAX 'op1'.*'a' was overwritten"),
    ):
        with pytest.raises(InternalError, match=message):
            verify_plan(broken, in_place=True)
    with pytest.raises(InternalError, match="tensor 'a' was overwritten by tensor 'b'"):
        verify_plan(plan({B: 4}))


def test_tensors_in_different_arenas_do_not_meet() -> None:
    placements = ((X, Placement(0, 0)), (A, Placement(1, 0)), (B, Placement(2, 0)), (Y, Placement(1, 0)))
    verify_plan(Plan(GRAPH, shipped_schedule(GRAPH), placements, (), (4, 4, 4)))


@given(st.data())
def test_correct_plans_pass(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    verify_graph(graph)
    drawn = data.draw(plans(graph))
    verify_schedule(graph, drawn.schedule)
    verify_plan(drawn)


def packed(graph: Graph, schedule: Schedule, lives: dict[TensorId, Interval], first: list[TensorId]) -> Plan:
    """First fit on the lifetimes given, `first` before all others."""
    order = [*first, *(t for t in lives if t not in first)]
    sizes = [graph.tensors[t].nbytes for t in order]
    offsets = first_fit(sizes, [lives[t] for t in order])
    height = max((o + s for o, s in zip(offsets, sizes, strict=True)), default=0)
    places = tuple((t, Placement(0, o)) for t, o in zip(order, offsets, strict=True))
    return Plan(graph, schedule, places, (), (height,))


def collisions(lives: dict[TensorId, Interval]) -> list[tuple[TensorId, Interval, TensorId]]:
    """(victim, its lifetime without the first or last step, a tensor it now no longer seems to meet)."""
    found = []
    for victim, life in lives.items():
        for short in (Interval(life.start, life.stop - 1), Interval(life.start + 1, life.stop)):
            for other, its in lives.items():
                if other != victim and its.overlaps(life) and not its.overlaps(short):
                    found.append((victim, short, other))
    return found


@settings(max_examples=250)
@given(st.data())
def test_a_planted_lifetime_bug_is_always_caught(data: st.DataObject) -> None:
    """One lifetime is a step too short, and two blocks that then seem apart are packed on each other.

    true    a |====|====|            planner   a |====|
            b      |====|====|                 b      |====|====|    both at offset 0
    """
    graph = data.draw(graphs())
    schedule = data.draw(schedules(graph))
    used = {i for op in graph.ops for i in op.inputs} | set(graph.outputs)
    # An input that nobody reads may be overwritten at once: no harm is done, so there is nothing to catch.
    idle = {i for i in graph.inputs if i not in used}
    lives = {t: life for t, life in slow_lifetimes(graph, schedule).items() if t not in idle}
    clashes = collisions(lives)
    assume(clashes)
    victim, short, other = data.draw(st.sampled_from(clashes))
    for correct in (True, False):
        believed = lives if correct else {**lives, victim: short}
        result = packed(graph, schedule, believed, [victim, other])
        top = max(place.offset for _, place in result.placements) + max(t.nbytes for t in graph.tensors)
        idle_places = tuple(
            (t, Placement(1, i * 1000)) for i, t in enumerate(sorted(idle)) if graph.tensors[t].in_arena
        )
        result = dataclasses.replace(
            result, placements=result.placements + idle_places, heights=(top, 1000 * len(graph.tensors))
        )
        if correct:
            verify_plan(result)
        else:
            with pytest.raises(InternalError, match="was overwritten by"):
                verify_plan(result)


def bytewise(plan: Plan) -> bool:
    """Whether the plan is correct, byte by byte: each byte of each arena holds the id last written there."""
    arenas: list[list[object]] = [[None] * height for height in plan.heights]
    places, graph = dict(plan.placements), plan.graph

    def cells(place: Placement, size: int) -> slice:
        return slice(place.offset, place.offset + size)

    def store(owner: object, place: Placement, size: int) -> None:
        arenas[place.arena][cells(place, size)] = [owner] * size

    def intact(owner: object, place: Placement, size: int) -> bool:
        return arenas[place.arena][cells(place, size)] == [owner] * size

    def in_place(indices: tuple[TensorId | None, ...]) -> list[tuple[object, Placement, int]]:
        return [(i, places[i], graph.tensors[i].nbytes) for i in indices if i is not None and i in places]

    for item in in_place(graph.inputs):
        store(*item)
    if not all(intact(*item) for item in in_place(graph.inputs)):
        return False
    for index in plan.schedule.order:
        op = graph.ops[index]
        scratch = [(("scratch", k), s.placement, s.size) for k, s in enumerate(plan.scratch) if s.op == index]
        written = [*scratch, *in_place(op.outputs)]
        for item in written:
            store(*item)
        if not all(intact(*item) for item in [*written, *in_place(op.inputs)]):
            return False
    return all(intact(*item) for item in in_place(graph.outputs))


def accepted(plan: Plan) -> bool:
    try:
        verify_plan(plan)
    except InternalError:
        return False
    return True


@settings(max_examples=250)
@given(st.data())
def test_cells_equal_bytes(data: st.DataObject) -> None:
    """verify_plan keeps one cell for all bytes between two neighbouring edges; a byte array gives the same answer."""
    graph = data.draw(graphs(max_ops=6))
    drawn = data.draw(plans(graph))
    assert bytewise(drawn)
    if drawn.placements:  # move one block anywhere: some of these plans are still correct, most are not
        k = data.draw(st.integers(0, len(drawn.placements) - 1))
        index, place = drawn.placements[k]
        room = drawn.heights[place.arena] - graph.tensors[index].nbytes
        there = Placement(place.arena, data.draw(st.integers(0, room)))
        placements = (*drawn.placements[:k], (index, there), *drawn.placements[k + 1 :])
        drawn = dataclasses.replace(drawn, placements=placements)
    assert accepted(drawn) == bytewise(drawn)
