# SPDX-License-Identifier: Apache-2.0
"""Tensors as slices of others: what is joined or cut is not copied, and outputs are the reference's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, edge_inputs
from thimble import views
from thimble.arena import arena_problem
from thimble.compile import compile_model
from thimble.errors import InternalError
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Activation, DType, Graph, Kind, Model, Op, OpId, Padding, Source, Tensor, TensorId
from thimble.kernel import Flavour, Slice, View
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled, lowered
from thimble.memory import Solution
from thimble.ops.concatenation import Concatenation
from thimble.ops.conv_2d import Conv2D
from thimble.ops.max_pool_2d import MaxPool2D
from thimble.ops.mul import Mul
from thimble.ops.split import Split
from thimble.pack import pack
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.slices import place_of
from thimble.streaming import Segment
from thimble.verify_program import verify_program
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

FLAVOURS = [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE]


def program_of(model: Model, flavour: Flavour, *, always: bool = True) -> Program:
    """The model with all slices that are possible, or with those that pay."""
    graph = compilable(model, merge=True)
    schedule = shipped_schedule(graph)
    with patch.object(views._Finder, "_pays", lambda self, trial: True) if always else patch("builtins.id"):
        slices = views.slices_within(graph, schedule.order, flavour)
    parts = views.sliced(graph, [Segment((op,)) for op in schedule.order], slices)
    units = lowered(graph, parts, flavour)
    problem, slots = arena_problem(graph, units, merge=True)
    solution = pack(problem, budget=1000)
    assert isinstance(solution, Solution)
    return assembled("views", graph, schedule, units, slots, solution)


def check(model: Model, program: Program) -> None:
    verify_program(program)
    reference = Executor(model)
    with HostProgram(program, flags=SANITIZED) as compiled:
        for values in edge_inputs(model):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


@st.composite
def joined_networks(draw: st.DrawFn) -> Model:
    """Layers that are joined by channels, columns or rows, joined results among them, and parts that are cut out."""
    build = Builder("joined", draw(st.integers(0, 999)))
    start = x = build.input((1, draw(st.integers(4, 8)), draw(st.integers(4, 8)), draw(st.sampled_from([2, 4]))))
    seen = [x := build.conv(x, 4)]
    for _ in range(draw(st.integers(2, 5))):
        same = [value for value in seen if value.quant == x.quant and value.shape[:3] == x.shape[:3]]
        kind = draw(st.sampled_from(["grow", "grow", "grow", "fire", "rows", "columns", "cut", "layer"]))
        if kind == "grow":
            x = build.concat([x, _layer(draw, build, draw(st.sampled_from(same)), x)])
        elif kind == "fire":
            x = build.concat([_layer(draw, build, x, x) for _ in range(draw(st.integers(2, 3)))])
        elif kind in ("rows", "columns"):
            other = _layer(draw, build, x, x, channels=x.channels)
            x = build.concat([other, x], axis=1 + (kind == "columns"))
        elif kind == "cut":
            low = draw(st.integers(0, x.channels - 1))
            x = build.crop(x, (0, 0, 0, low), (*x.shape[:3], draw(st.integers(low + 1, x.channels))))
        else:
            x = _layer(draw, build, x, x)
        seen.append(x)
    outputs = [x]
    if draw(st.booleans()):  # as detectors end: boxes of several layers in one list
        ends = [build.conv(value, 4, quant=x.quant) for value in seen[-2:]]
        outputs = [build.concat([build.reshape(y, (1, math.prod(y.shape) // 2, 2)) for y in ends], axis=1)]
    return build.model([start], outputs)


def _layer(draw: st.DrawFn, build: Builder, x: Value, like: Value, channels: int | None = None) -> Value:
    """An operator whose result has the scale of another tensor."""
    kind = draw(st.sampled_from(["conv", "conv", "wide", "pool", "relu", "sum"]))
    count = draw(st.sampled_from([2, 4, 8])) if channels is None else channels
    y = build.conv(x, count, 1 if kind == "conv" else 3, quant=like.quant)
    if kind == "pool":
        return build.max_pool(y, 2, 1)
    if kind == "relu":
        return build.relu(y) if channels is None and build.relu(y).quant == like.quant else y
    return build.add(y, y, quant=like.quant) if kind == "sum" else y


@given(model=joined_networks(), flavour=st.sampled_from(FLAVOURS))
@settings(max_examples=14, deadline=None, derandomize=True)
def test_random_networks(model: Model, flavour: Flavour) -> None:
    check(model, program_of(model, flavour))


def dense_block(layers: int = 3) -> Model:
    """Each layer normalizes all that is there, and adds to it."""
    build = Builder("dense", 4)
    start = build.input((1, 6, 5, 4))
    x = build.conv(start, 8)
    for _ in range(layers):
        y = build.conv(build.batch_norm(x, Activation.RELU), 8)
        x = build.concat([x, build.conv(y, 4, 3, quant=x.quant)])
    return build.model([start], [build.average_pool(x, 2, 2)])


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
def test_a_growing_buffer(flavour: Flavour) -> None:
    """All joined results are slices of the last one, and no step copies."""
    model = dense_block()
    program = program_of(model, flavour)
    assert len({place.root for _, place in program.slices}) == 1
    assert len(program.slices) == 6  # the first layer, three that are added, and two that are joined again
    steps = [step for step in program.steps if program.graph.ops[step.op].kind == "CONCATENATION"]
    assert len(steps) == 6 and all(step.is_view for step in steps)
    check(model, program)


@pytest.mark.parametrize("rung", [3, 4, 5])
def test_a_fire_module_takes_no_copy(rung: int) -> None:
    """The arena of two branches of which each has half of the result's channels: operand and result, nothing else."""
    build = Builder("fire", 1)
    start = build.input((1, 8, 8, 4))
    x = build.conv(start, 4)
    left = build.conv(x, 8)
    model = build.model([start], [build.concat([left, build.conv(x, 8, 3, quant=left.quant)])])
    program = compile_model(model, flavour=Flavour.PORTABLE, rung=rung)
    assert compile_model(model, flavour=Flavour.PORTABLE, rung=2).arena_bytes == 8 * 8 * (8 + 8 + 16)
    assert program.arena_bytes <= 8 * 8 * (4 + 16)
    check(model, program)


def test_floats_that_are_cut_and_joined() -> None:
    """Halves of channels take different ways; a product with a constant reads every second run."""
    tensors: list[Tensor] = []

    def tensor(shape: tuple[int, ...], kind: Kind = Kind.ACTIVATION, values: object = None) -> TensorId:
        dtype = DType.INT32 if isinstance(values, int) else DType.FLOAT32
        data = None if values is None else np.asarray(values, dtype.label).tobytes()
        index = TensorId(len(tensors))
        tensors.append(Tensor(index, f"t{index}", shape, dtype, None, kind, data))
        return index

    random = np.random.default_rng(1)
    x, axis = tensor((1, 4, 5, 6), Kind.INPUT), tensor((), Kind.CONSTANT, 3)
    left, right, product, pooled, filtered = (tensor((1, 4, 5, 3)) for _ in range(5))
    factor = tensor((3,), Kind.CONSTANT, random.normal(size=3))
    weights = tensor((3, 3, 3, 3), Kind.CONSTANT, random.normal(size=81))
    bias = tensor((3,), Kind.CONSTANT, random.normal(size=3))
    joined = tensor((1, 4, 5, 9))
    steps: list[tuple[object, tuple[TensorId, ...], tuple[TensorId, ...]]] = [
        (Split(2), (axis, x), (left, right)),
        (Mul(), (left, factor), (product,)),
        (MaxPool2D(Padding.SAME, 1, 1, 2, 2), (right,), (pooled,)),
        (Conv2D(), (left, weights, bias), (filtered,)),
        (Concatenation(3), (product, pooled, filtered), (joined,)),
    ]
    ops = (
        Op(OpId(n), f"o{n}", attrs, inputs, outputs, Source("f", "main", n))  # type: ignore[arg-type]
        for n, (attrs, inputs, outputs) in enumerate(steps)
    )
    model = Model("floats", "f", "tflite", 0, (Graph("main", tuple(tensors), tuple(ops), (x,), (joined,)),))
    program = program_of(model, Flavour.PORTABLE)
    assert len(program.slices) == 5
    check(model, program)


@pytest.mark.parametrize("spans", [(), (2, 3), (0, 4)])
def test_places_of_views(spans: tuple[int, ...]) -> None:
    """A cut of channels is runs a pixel apart, one of all channels a single run; the outer pitch stays."""
    x = Tensor(TensorId(1), "x", (1, 2, 3, 4), DType.INT8)
    assert place_of(View(x), {}) == Slice(x.id, 0, 24, 24)
    if spans:
        first, end = spans
        shape, strides = ((6, end - first), (4, 1)) if end - first > 1 else ((6,), (4,))
        count = end - first
        inner = Slice(x.id, 0, 24, 24) if count == 4 else Slice(x.id, first, count, 4)
        assert place_of(View(x, first, shape, strides), {}) == inner
        outer = {x.id: Slice(TensorId(9), 100, 4, 10)}
        assert place_of(View(x, first, shape, strides), outer) in (None, Slice(TensorId(9), 100 + first, count, 10))


def broken() -> Iterator[tuple[str, Program]]:
    """Programs that are wrong in one way each."""
    program = program_of(dense_block(2), Flavour.PORTABLE)
    slices = dict(program.slices)
    (first, place), *rest = program.slices
    yield "pitch", replace(program, slices=((first, replace(place, pitch=place.pitch + 4)), *rest))
    yield "run", replace(program, slices=((first, replace(place, run=place.run // 2)), *rest))
    yield "none", replace(program, slices=())
    for number, step in enumerate(program.steps):
        before, after = program.steps[:number], program.steps[number + 1 :]
        if step.call.moves:
            moves = tuple(move + 1 for move in step.call.moves)
            yield (
                "moves",
                replace(program, steps=(*before, replace(step, call=replace(step.call, moves=moves)), *after)),
            )
        if step.call.view and step.reads[0].view.tensor.id in slices:
            shifted = replace(step.reads[0], offset=step.reads[0].offset + 4)
            yield "shifted", replace(program, steps=(*before, replace(step, reads=(shifted,)), *after))
            yield "missing", replace(program, steps=(*before, *after))


def test_broken_programs_are_found() -> None:
    cases = list(broken())
    assert {"pitch", "run", "none", "moves", "shifted", "missing"} == {name for name, _ in cases}
    for name, program in cases:
        with pytest.raises(InternalError):
            verify_program(program)
            pytest.fail(name)
