# SPDX-License-Identifier: Apache-2.0
"""Rung 6: chains of operators strip by strip and band by band; outputs are the same, and the price is what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, edge_inputs
from thimble.arena import arena_problem
from thimble.condense import condensed
from thimble.errors import InternalError
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Graph, Model, OpId
from thimble.kernel import Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled, lowered, traits_of
from thimble.memory import Solution
from thimble.pack import pack
from thimble.patches import Patch, extra_macs, is_chain
from thimble.program import Program
from thimble.recompute import front
from thimble.rewrites import compilable
from thimble.streaming import Life, Segment, partitions, row_rules, segment
from thimble.verify_program import verify_program
from thimble.zoo.builder import Builder

FLAVOURS = [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE]


def chain_model() -> Model:
    build = Builder("chain", 1)
    start = x = build.input((1, 14, 17, 3))
    x = build.conv(build.conv(x, 8, 3, 2), 12, 1, 1)
    x = build.conv(build.depthwise(x, 3, 1), 4, 1, 1)
    return build.model([start], [build.depthwise(x, (3, 3), 2)])


def program_of(graph: Graph, parts: tuple[Segment, ...], flavour: Flavour) -> Program:
    units = lowered(graph, parts, flavour)
    problem, slots = arena_problem(graph, units, merge=True, split=True)
    solution = pack(condensed(problem), budget=1000)
    assert isinstance(solution, Solution)
    return assembled("chain", graph, shipped_schedule(graph), units, slots, solution)


@given(
    flavour=st.sampled_from(FLAVOURS),
    chain=st.sampled_from([(0, 1), (1, 2, 3), (0, 1, 2, 3, 4), (2, 3, 4), (3, 4)]),
    strips=st.integers(1, 4),
    band=st.sampled_from([1, 2, 3, 7]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_patch(flavour: Flavour, chain: tuple[int, ...], strips: int, band: int) -> None:
    model = chain_model()
    graph = compilable(model)
    ops = tuple(OpId(op) for op in range(len(graph.ops)))
    rules = {op: row_rules(graph, op) for op in ops}
    patch = Patch(tuple(OpId(op) for op in chain), strips, band)
    assert is_chain(graph, patch.ops, rules)
    part = segment(graph, ops, rules, set(graph.outputs), traits=traits_of(graph, flavour), patches=(patch,))
    assert part is not None
    program = program_of(graph, (part,), flavour)
    verify_program(program)
    assert program.macs == graph.macs() + extra_macs(graph, patch, rules)
    reference = Executor(model)
    with HostProgram(program, flags=SANITIZED) as compiled:
        for values in edge_inputs(model):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


def test_the_front_goes_down() -> None:
    """An inverted bottleneck on a large image: every point has a lower peak, and the limit holds."""
    build = Builder("bottleneck", 2)
    start = x = build.input((1, 32, 32, 3))
    x = build.conv(x, 8, 3, 2)
    x = build.conv(build.depthwise(build.conv(x, 48, 1, 1), 3, 2), 8, 1, 1)
    graph = compilable(build.model([start], [build.conv(x, 16, 3, 2)]))
    order = tuple(op.id for op in graph.ops)
    traits = traits_of(graph, Flavour.PORTABLE)
    (parts, *_) = partitions(graph, order, traits=traits)
    life = Life(graph, order, False, traits)

    def peak(found: tuple[Segment, ...]) -> int:
        at, most = 0, 0
        for part in found:
            most = max(most, life.peak(at, at + len(part.ops), part) if part.order else life.plain(at))
            at += len(part.ops)
        return most

    points = [parts, *front(graph, parts, traits=traits, most=graph.macs() // 4)]
    peaks = [peak(point) for point in points]
    assert len(points) > 1 and peaks == sorted(peaks, reverse=True)
    for point in points:
        program = program_of(graph, point, Flavour.PORTABLE)
        verify_program(program)
        assert program.macs <= graph.macs() * 5 // 4


@pytest.mark.parametrize("broken", ["rows", "columns"])
def test_broken_patches_are_found(broken: str) -> None:
    """A band that lacks a row, and a strip that is told to compute more columns than its operand has."""
    graph = compilable(chain_model())
    ops = tuple(OpId(op) for op in range(len(graph.ops)))
    rules = {op: row_rules(graph, op) for op in ops}
    patch = Patch(ops[1:4], 2, 2)
    part = segment(graph, ops, rules, set(graph.outputs), traits=traits_of(graph, Flavour.PORTABLE), patches=(patch,))
    assert part is not None
    program = program_of(graph, (part,), Flavour.PORTABLE)
    (stream,) = program.streams
    if broken == "rows":
        at = stream.order.index(stream.order[-1]) - 1
        order, rows = (values[:at] + values[at + 1 :] for values in (stream.order, stream.rows))
        wrong = replace(program, streams=(replace(stream, order=order, rows=rows),))
    else:
        number = next(n for n, s in enumerate(program.steps) if s.op == patch.ops[1])
        step = program.steps[number]
        view = step.writes[0].view
        assert view.shape is not None
        more = replace(step.writes[0], view=replace(view, shape=(view.shape[0], view.shape[1] + 3, view.shape[2])))
        steps = (*program.steps[:number], replace(step, writes=(more,)), *program.steps[number + 1 :])
        wrong = replace(program, steps=steps)
    with pytest.raises(InternalError):
        verify_program(wrong)
