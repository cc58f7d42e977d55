# SPDX-License-Identifier: Apache-2.0
"""Rungs 3 to 6 on an emulated Cortex-M4: the bytes of rung 0, and nothing touched outside of the arena.

The networks of MLPerf Tiny and person_detect are third-party models; small ones of the other kinds are built here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest

from compiled import edge_inputs
from conftest import MODELS
from test_emulate import emulated
from thimble.compile import HIGHEST_RUNG, compile_model
from thimble.emulate import emulate
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Activation, Array, Model
from thimble.kernel import Flavour
from thimble.pipeline import load
from thimble.zoo.builder import Builder, Value

MACHINE = "mps2-an386"
RUNGS = range(3, HIGHEST_RUNG + 1)
THIRD_PARTY = ("kws_ref_model_int8", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "person_detect")
MAX_MACS = 1.5
"""High, so that small networks have patches on rung 6."""


def mobilenet() -> Model:
    """MobileNet V2's inverted residuals."""
    build = Builder("mobilenet", 4)
    start = build.input((1, 24, 24, 3))
    x = build.conv(start, 8, 3, 2, activation=Activation.RELU6)
    for channels, stride in ((8, 2), (8, 1), (12, 2)):
        y = build.conv(x, 6 * x.channels, activation=Activation.RELU6)
        y = build.conv(build.depthwise(y, 3, stride, activation=Activation.RELU6), channels)
        x = build.add(y, x) if y.shape == x.shape else y
    return build.model([start], [build.classify(build.mean(x), 4)])


def densenet() -> Model:
    """A block in which every layer reads all before it, and a transition."""
    build = Builder("densenet", 1)
    start = build.input((1, 12, 12, 3))
    x = build.conv(start, 8, 3, activation=Activation.RELU)
    for _ in range(3):
        y = build.conv(build.batch_norm(x, Activation.RELU), 8, activation=Activation.RELU)
        x = build.concat([x, build.conv(y, 4, 3, quant=x.quant)])
    x = build.average_pool(build.conv(x, 8), 2, 2)
    return build.model([start], [build.classify(build.mean(x), 4)])


def unet() -> Model:
    """Down twice and up twice, each time joined with what was there."""
    build = Builder("unet", 2)
    start = build.input((1, 12, 12, 1))
    fine = _twice(build, start, 4)
    middle = _twice(build, build.max_pool(fine, 2, 2), 8)
    coarse = _twice(build, build.max_pool(middle, 2, 2), 12)
    middle = _twice(build, build.concat([build.resize(coarse, 6, 6), middle]), 8)
    fine = _twice(build, build.concat([build.resize(middle, 12, 12), fine]), 4)
    return build.model([start], [build.logistic(build.conv(fine, 1))])


def _twice(build: Builder, x: Value, channels: int) -> Value:
    for _ in range(2):
        x = build.conv(x, channels, 3, activation=Activation.RELU)
    return x


def inception() -> Model:
    """Branches side by side that are joined, then branches that are added, as in the cells of NASNet."""
    build = Builder("inception", 3)
    start = build.input((1, 16, 16, 3))
    x = build.conv(start, 8, 3, 2, activation=Activation.RELU)
    pooled = build.conv(build.max_pool(x, 3, 1), 4)
    x = build.concat([build.conv(x, 4), build.conv(build.conv(x, 4), 6, 3), build.conv(build.conv(x, 2), 4, 5), pooled])
    left = build.conv(build.depthwise(build.relu(x), 5), 8)
    right = build.conv(build.depthwise(x, 3), 8)
    x = build.add(build.add(left, right), build.conv(build.average_pool(x, 3, 1), 8))
    return build.model([start], [build.classify(build.mean(x), 4)])


BUILT: dict[str, Callable[[], Model]] = {build.__name__: build for build in (mobilenet, densenet, unet, inception)}


def names() -> Iterator[str]:
    yield from BUILT
    if (MODELS / "INDEX.csv").is_file():
        yield from THIRD_PARTY


@cache
def network(name: str) -> tuple[Model, tuple[Array, ...], tuple[Array, ...]]:
    """A model, inputs, and what rung 0 makes of them; for those built here the reference agrees."""
    model = BUILT[name]() if name in BUILT else load(MODELS / f"{name}.tflite")
    inputs = next(edge_inputs(model))
    with HostProgram(compile_model(model, flavour=Flavour.DSP, rung=0), flags=("-O1",)) as compiled:
        wanted = tuple(compiled.run(*inputs))
    if name in BUILT:
        for got, expected in zip(wanted, Executor(model).run(*inputs), strict=True):
            np.testing.assert_array_equal(got, expected)
    return model, inputs, wanted


@emulated(MACHINE)
@pytest.mark.emulator
@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("name", list(names()))
def test_rung(name: str, rung: int) -> None:
    model, inputs, wanted = network(name)
    program = compile_model(model, flavour=Flavour.DSP, rung=rung, max_macs=MAX_MACS)
    measured = emulate(program, [inputs], MACHINE)
    for got, expected in zip(measured.outputs[0], wanted, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert measured.outside_accesses == 0, measured.first_outside
    assert measured.arena.stores > 0  # the watch was on
    assert max(measured.arena.read[1], measured.arena.written[1]) <= program.arena_bytes


def test_the_last_rung_recomputes() -> None:
    """Else the runs above would watch no patches."""
    program = compile_model(mobilenet(), flavour=Flavour.DSP, rung=6, max_macs=MAX_MACS)
    assert program.strips
    assert program.graph.macs() < program.macs <= MAX_MACS * program.graph.macs()
