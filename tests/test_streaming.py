# SPDX-License-Identifier: Apache-2.0
"""Rungs 3 to 5: results in or within dying operands, segments that run row by row; outputs as on rung 2."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, edge_inputs
from thimble import zoo
from thimble.compile import compile_model
from thimble.errors import InternalError
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Model, OpId, Padding, TensorId
from thimble.kernel import Flavour
from thimble.pipeline import load
from thimble.streaming import partitions, segment
from thimble.verify_program import verify_program
from thimble.zoo.builder import Builder, Value

RUNGS = (3, 4, 5)


def check(model: Model, rung: int, flavour: Flavour) -> None:
    """Compiled on a rung, the model's outputs are the reference's, and the arena is not above rung 2's."""
    program = compile_model(model, flavour=flavour, rung=rung)
    if rung <= 4 or flavour is Flavour.PORTABLE:
        assert program.arena_bytes <= compile_model(model, flavour=flavour, rung=2).arena_bytes
    reference = Executor(model)
    with HostProgram(program, flags=SANITIZED) as compiled:
        for values in edge_inputs(model):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


@st.composite
def networks(draw: st.DrawFn) -> Model:
    """Small networks of images: chains with strides and pools, residual additions, branches that are joined."""
    build = Builder("network", draw(st.integers(0, 999)))
    start = x = build.input((1, draw(st.integers(5, 14)), draw(st.integers(4, 11)), draw(st.sampled_from([1, 3, 4]))))
    for _ in range(draw(st.integers(1, 7))):
        x = _layer(draw, build, x)
    outputs = [x, _layer(draw, build, x)] if draw(st.booleans()) else [x]
    return build.model([start], outputs)


def _layer(draw: st.DrawFn, build: Builder, x: Value) -> Value:
    padding = draw(st.sampled_from(Padding))
    rows, cols = x.shape[1:3]
    if min(rows, cols) < 4:
        padding = Padding.SAME
    kind = draw(st.sampled_from(["conv", "conv", "depthwise", "depthwise", "pool", "residual", "branches", "relu"]))
    stride = draw(st.sampled_from([1, 1, 2]))
    if kind == "conv":
        size = draw(st.sampled_from([1, 3, 3]))
        return build.conv(x, draw(st.sampled_from([2, 4, 8])), size, stride, padding=padding)
    if kind == "depthwise":
        return build.depthwise(x, draw(st.sampled_from([(3, 3), (2, 3), (3, 1)])), stride, padding=padding)
    if kind == "pool":
        return build.max_pool(x, 2, draw(st.sampled_from([1, 2])), padding)
    if kind == "residual":
        return build.add(build.conv(build.depthwise(x, 3, 1), x.shape[3], 1, 1), x)
    if kind == "branches":
        return build.concat([build.conv(x, 4, 1, 1), build.depthwise(x, 3, 1)])
    return build.relu(x)


@given(model=networks(), rung=st.sampled_from(RUNGS), flavour=st.sampled_from([*Flavour][:3]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_random_networks(model: Model, rung: int, flavour: Flavour) -> None:
    check(model, rung, flavour)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("flavour", [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE], ids=lambda f: f.value)
def test_demo_model(rung: int, flavour: Flavour) -> None:
    check(load("demo"), rung, flavour)


def test_residual_network() -> None:
    check(zoo.build("resnet_8"), 5, Flavour.DSP)


@pytest.mark.models
def test_arenas_of_shared_models(models_dir: Path) -> None:
    """Bytes that the arithmetic of live rows allows; more would be a step back."""
    expected = {"person_detect": {4: 37_500, 5: 20_480}, "vww_96_int8": {4: 37_500, 5: 32_768}}
    for name, rungs in expected.items():
        for rung, most in rungs.items():
            program = compile_model(load(models_dir / f"{name}.tflite"), flavour=Flavour.DSP, rung=rung)
            assert program.arena_bytes <= most


def test_rows_are_asked_for_in_turn() -> None:
    """A 3x3 convolution behind another keeps three rows of it, and no row is computed before it is needed."""
    build = Builder("two", 1)
    x = build.input((1, 6, 4, 2))
    model = build.model([x], [build.conv(build.conv(x, 2, 3, 1), 2, 3, 1)])
    graph = model.main
    rules = {op.id: op.attrs.input_rows(graph.operands(op), graph.results(op)[0]) for op in graph.ops}
    per_tensor = {op.id: {graph.ops[op.id].inputs[0]: (rules[op.id] or ())[0]} for op in graph.ops}
    part = segment(graph, [OpId(0), OpId(1)], per_tensor, set(graph.outputs))  # type: ignore[arg-type]
    assert part is not None
    assert part.order == (0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1)
    assert part.rings == {TensorId(graph.ops[0].outputs[0]): 3}


def test_partition_keeps_the_order() -> None:
    graph = zoo.build("resnet_8").main
    order = tuple(op.id for op in graph.ops)
    for parts in partitions(graph, order):
        assert tuple(op for part in parts for op in part.ops) == order


def test_broken_streams_are_found() -> None:
    """One broken program per kind: rows too early, rows missing, a ring too small, rows of a stream exchanged."""
    program = compile_model(zoo.build("resnet_8"), flavour=Flavour.PORTABLE, rung=5)
    stream = max(program.streams, key=lambda s: len(s.members))
    at = program.streams.index(stream)

    def with_order(order: tuple[int, ...]) -> None:
        streams = (*program.streams[:at], replace(stream, order=order), *program.streams[at + 1 :])
        verify_program(replace(program, streams=streams))

    verify_program(program)
    with pytest.raises(InternalError):
        with_order(tuple(sorted(stream.order, reverse=True)))
    with pytest.raises(InternalError):
        with_order(stream.order[:-1])
    with pytest.raises(InternalError, match="has no row"):
        with_order((*stream.order, 0))
    for tensor, rows in program.rings:
        if rows > 1:
            smaller = tuple((t, r - (t == tensor)) for t, r in program.rings)
            with pytest.raises(InternalError):
                verify_program(replace(program, rings=smaller))


def test_segments_do_not_change_sums() -> None:
    """Rows that are computed in two directions give the same image."""
    model = load("demo")
    programs = [compile_model(model, flavour=Flavour.PORTABLE, rung=rung) for rung in RUNGS]
    values = next(edge_inputs(model))
    results = []
    for program in programs:
        with HostProgram(program) as compiled:
            results.append(compiled.run(*values)[0])
    assert all(np.array_equal(result, results[0]) for result in results)
