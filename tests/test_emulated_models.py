# SPDX-License-Identifier: Apache-2.0
"""Whole networks on emulated microcontrollers: TFLM's bytes, within their own memory, in the predicted space.

The networks are third-party models with outputs that TFLM gave. Where they are absent, networks of the zoo take their
places, held against the NumPy reference, and a skip says so. Every access of the inference is watched.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from compiled import edge_inputs
from conftest import MODELS
from test_emulate import emulated
from thimble import zoo
from thimble.compile import compile_model, flavour_of
from thimble.emulate import MACHINES, emulate, predict
from thimble.execute import Executor
from thimble.ir import Array, Model
from thimble.pipeline import load
from thimble.program import Program
from thimble.target import target_named

RECORDED = MODELS.parent / "data" / "tflm_golden"
PRESENT = (MODELS / "INDEX.csv").is_file() and (RECORDED / "INDEX.json").is_file()

KWS, VWW, IC, AD = "kws_ref_model_int8", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8"
PERSON, LSTM, SVDF = "person_detect", "trained_lstm_int8", "keyword_scrambled_8bit"
STREAM, SINE = "mww_vad_v2", "hello_world_int8"
ON_MODELS = {
    "microbit": (LSTM, SVDF, STREAM),  # the others need more than 16 KiB of RAM or 256 KiB of flash
    "mps2-an385": (KWS, AD, LSTM),
    "mps2-an386": (KWS, VWW, IC, AD, PERSON, SVDF),
    "mps2-an500": (KWS, LSTM),
    "mps2-an505": (KWS, SVDF),
    "mps3-an547": (KWS, VWW, IC, AD, PERSON, LSTM),
    "riscv32": (KWS, AD, SVDF),
    "atmega2560": (SVDF, SINE),
}
"""The large ones run where the emulator has few instructions to execute."""

ON_ZOO = {
    "microbit": ("lstm",),
    "mps2-an385": ("demo", "lstm"),
    "mps2-an386": ("demo", "resnet_8", "tcn"),
    "mps2-an500": ("demo", "lstm"),
    "mps2-an505": ("demo",),
    "mps3-an547": ("demo", "resnet_8", "lstm"),
    "riscv32": ("demo",),
    "atmega2560": ("lstm",),
}
SMALL = {"lstm": {"steps": 6, "features": 8, "units": 12}}
"""Options of the zoo's networks, so that they fit and are quick."""


def pairs() -> Iterator[object]:
    for machine, names in (ON_MODELS if PRESENT else ON_ZOO).items():
        for name in names:
            yield pytest.param(name, machine, marks=emulated(machine), id=f"{name}-{machine}")


def network(name: str) -> tuple[Model, tuple[Array, ...], list[Array]]:
    """A model, inputs of one inference, and the outputs that are right."""
    if not PRESENT:
        model = load("demo") if name == "demo" else zoo.build(name, **SMALL.get(name, {}))
        inputs = next(edge_inputs(model))
        return model, inputs, list(Executor(model).run(*inputs))
    model = load(MODELS / f"{name}.tflite")
    with np.load(RECORDED / f"{name}.npz") as stored:
        inputs = tuple(stored[f"case0_in{k}"] for k in range(len(model.main.inputs)))
        return model, inputs, [stored[f"case0_out{k}"] for k in range(len(model.main.outputs))]


def compiled(model: Model, machine: str) -> Program:
    return compile_model(model, flavour=flavour_of(target_named(MACHINES[machine].target)))


@pytest.mark.emulator
@pytest.mark.parametrize(("name", "machine"), list(pairs()))
def test_network(name: str, machine: str) -> None:
    model, inputs, wanted = network(name)
    program = compiled(model, machine)
    measured = emulate(program, [inputs], machine)
    for got, expected in zip(measured.outputs[0], wanted, strict=True):
        np.testing.assert_array_equal(got, expected.reshape(got.shape))
    assert measured.outside_accesses == 0, measured.first_outside
    assert measured.arena.stores > 0 or machine == "atmega2560"  # the watch was on
    assert max(measured.arena.read[1], measured.arena.written[1]) <= program.arena_bytes
    sizes, bound = predict(program, MACHINES[machine].target)
    assert sizes == measured.footprint
    assert sizes.arena == program.arena_bytes
    assert bound is not None
    assert bound == measured.stack_bound
    assert measured.stack_bytes <= bound


def test_which_networks_are_meant() -> None:
    if not PRESENT:
        pytest.skip(f"NO THIRD-PARTY MODEL IS EMULATED: {MODELS} has none (set THIMBLE_MODELS); the zoo's are")
