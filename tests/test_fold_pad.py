# SPDX-License-Identifier: Apache-2.0
"""Padding that becomes margins of windows, and padding row by row; outputs are those of the file's graph."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, edge_inputs
from thimble.compile import compile_model
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Activation, Graph, Model, Padding
from thimble.kernel import Flavour
from thimble.rewrites import compilable, fold_pad
from thimble.zoo.builder import Builder
from thimble.zoo.values import Value

FLAVOURS = [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE, Flavour.CMSIS_NN]


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


def check(model: Model, rung: int, flavour: Flavour) -> None:
    reference = Executor(model)
    with HostProgram(compile_model(model, flavour=flavour, rung=rung, optimize=None), flags=SANITIZED) as compiled:
        for values in edge_inputs(model):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


@st.composite
def padded_networks(draw: st.DrawFn) -> Model:
    """PAD, its readers with windows of many kinds, and sums of what they compute."""
    build = Builder("padded", draw(st.integers(0, 999)))
    start = x = build.input((1, draw(st.integers(4, 9)), draw(st.integers(4, 9)), draw(st.sampled_from([1, 4]))))
    for _ in range(draw(st.integers(1, 3))):
        pads = [draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in range(2)]
        deep = draw(st.sampled_from([0, 0, 0, 1]))
        y = build.pad(x, [(0, 0), *pads, (0, deep)])
        padding = draw(st.sampled_from(Padding)) if min(y.shape[1:3]) > 3 else Padding.SAME
        x = _read(draw, build, y, padding)
        other = _read(draw, build, y, padding)
        if (other.shape[:3], other.quant) == (x.shape[:3], x.quant):
            x = build.concat([x, other], axis=3)
    return build.model([start], [x])


def _read(draw: st.DrawFn, build: Builder, y: Value, padding: Padding) -> Value:
    kind, stride = draw(st.sampled_from(["conv", "depthwise", "pool", "relu"])), 1
    if kind == "conv":
        return build.conv(y, 4, draw(st.sampled_from([(1, 1), (3, 3), (2, 3)])), stride, padding=padding)
    if kind == "depthwise":
        return build.depthwise(y, 3, stride, padding=padding, activation=Activation.RELU)
    return build.max_pool(y, 3, stride, padding) if kind == "pool" else build.relu(y)


@given(model=padded_networks(), rung=st.sampled_from([3, 4, 5]), flavour=st.sampled_from(FLAVOURS[:3]))
@settings(max_examples=16, deadline=None, derandomize=True)
def test_random_networks(model: Model, rung: int, flavour: Flavour) -> None:
    check(model, rung, flavour)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("flavour", FLAVOURS[:3], ids=lambda f: f.value)
def test_as_converters_write_it(flavour: Flavour, stride: int) -> None:
    """One row above and two below, a window without padding of its own: the operator is gone, and so are its bytes."""
    build = Builder("pad", 3)
    x = build.input((1, 9, 8, 4))
    y = build.conv(build.pad(x, [(0, 0), (1, 2), (0, 1), (0, 0)]), 8, 3, stride, padding=Padding.VALID)
    z = build.depthwise(build.pad(y, [(0, 0), (1, 0), (1, 1), (0, 0)]), 3, stride, padding=Padding.SAME)
    model = build.model([x], [z])
    graph = compilable(model, merge=True)
    assert kinds(graph) == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert graph.ops[0].attrs.margins == (1, 2, 0, 1)  # type: ignore[attr-defined]
    assert kinds(compilable(model)) == ["PAD", "CONV_2D", "PAD", "DEPTHWISE_CONV_2D"]
    for rung in (3, 4, 5):
        check(model, rung, flavour)


def test_a_maximum_sees_no_zeros() -> None:
    """Zeros count where elements may be below: only behind a ReLU nothing changes without them."""
    for activation, folded in ((Activation.NONE, False), (Activation.RELU, True)):
        build = Builder("pool", 1)
        x = build.input((1, 8, 8, 3))
        y = build.conv(x, 4, 3, activation=activation)
        around = build.pad(y, [(0, 0), (1, 1), (1, 1), (0, 0)])
        model = build.model([x], [build.max_pool(around, 3, 2, Padding.VALID)])
        assert ("PAD" not in kinds(compilable(model, merge=True))) == folded
        check(model, 3, Flavour.DSP)


@pytest.mark.parametrize("case", ["channels", "batch", "output", "average", "far", "scale", "no padding"])
def test_what_stays(case: str) -> None:
    """Padding beyond the margin of its reader, that others see, or that counts: the same object comes back."""
    build = Builder("stays", 2)
    x = build.input((1, 6, 6, 4))
    pads = {"channels": [(0, 0), (1, 1), (1, 1), (0, 1)], "batch": [(0, 1), (1, 1), (1, 1), (0, 0)]}
    far = [(0, 0), (3, 0), (0, 0), (0, 0)]
    y = (
        x
        if case == "no padding"
        else build.pad(x, far if case == "far" else pads.get(case, [(0, 0), *[(1, 1)] * 2, (0, 0)]))
    )
    z = build.average_pool(y, 3, 1) if case == "average" else build.conv(y, 4, 3, padding=Padding.VALID)
    model = build.model([x], [z, y] if case == "output" else [z])
    if case == "scale":
        graph = model.main
        quant = graph.tensors[graph.ops[0].outputs[0]].quant
        assert quant is not None
        apart = [
            replace(t, quant=replace(quant, scale=(2.0,))) if t.kind.value == "input" else t for t in graph.tensors
        ]
        model = replace(model, graphs=(replace(graph, tensors=tuple(apart)),))
    assert fold_pad(model.main) is model.main
