# SPDX-License-Identifier: Apache-2.0
"""The compiler as a whole: real models compiled for the host, against what TFLM itself gave and the references.

The recorded outputs are four cases per model, run one after another with a reset between them. `benchmarks/exact.py`
compares many more inputs with TFLM and LiteRT themselves.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import tflm_models as made
from compiled import assert_same, check_compiled, edge_inputs
from thimble.compile import compile_model
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.host import WARNINGS, HostProgram, host_compiler
from thimble.ir import Array, Model
from thimble.kernel import Flavour
from thimble.lower import lowered
from thimble.ops import OPERATORS
from thimble.pipeline import load
from thimble.rewrites import compilable
from thimble.streaming import Segment
from thimble.verify import verify_graph

MODELS = Path(os.environ.get("THIMBLE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
RECORDED = MODELS.parent / "data" / "tflm_golden"
CASES = 4
FEW_MACS = 60_000_000  # of one inference; larger models run one case only
MAC_BUDGET = 700_000_000  # still larger ones are compiled and not run
EVERYTHING = bool(os.environ.get("THIMBLE_EVERYTHING"))
QUICK = ("-O1",)
FLOATS = 1e-4  # between compiled code and NumPy, which sums in another order and precision

FEW = (
    "ad01_int8",
    "audio_preprocessor_int8",
    "hello_world_float",
    "keyword_scrambled_8bit",
    "kws_ref_model_int8",
    "mltk_rock_paper_scissors_int8",
    "mobilenet_v1_0.25_128_quant",
    "mww_vad_v2",
    "trained_lstm_int8",
)
"""Models that are always run; with THIMBLE_EVERYTHING set all are, which takes many minutes."""

DYNAMIC_RANGE = "dynamic-range quantization"
REFUSED = {
    "bodypix_mobilenet_v1_075_480_352_16_quant_decoder": "PosenetDecoderOp",
    "dtln_model_quant_1": DYNAMIC_RANGE,
    "kws_ref_model_dynrange": DYNAMIC_RANGE,
    "mobilenet_v2_0.35_96_embedder_dynrange": DYNAMIC_RANGE,
    "posenet_mobilenet_v1_075_353_481_quant_decoder": "PosenetDecoderOp",
    "unet_person_08_dynrange": DYNAMIC_RANGE,
}
"""Models that cannot be compiled, and a part of what the refusal says."""


def names() -> list[str]:
    return sorted(path.stem for path in MODELS.glob("*.tflite"))


def recorded(model: Model, name: str) -> Iterator[tuple[tuple[Array, ...], list[Array]]]:
    """Inputs and TFLM's outputs of every case, if there are any."""
    path, graph = RECORDED / f"{name}.npz", model.main
    if not path.is_file():
        return
    with np.load(path) as stored:
        for case in range(CASES if model.macs() <= FEW_MACS else 1):
            inputs = tuple(stored[f"case{case}_in{k}"] for k in range(len(graph.inputs)))
            yield inputs, [stored[f"case{case}_out{k}"] for k in range(len(graph.outputs))]


def opened(name: str | None) -> Model:
    if name is None:
        pytest.skip(f"NO MODEL IS COMPILED: {MODELS} has none (set THIMBLE_MODELS)")
    return load(MODELS / f"{name}.tflite")


@pytest.mark.parametrize("level", ["-O1", "-O2", "-Os"])
def test_steps_are_not_taken_for_functions_without_effect(level: str) -> None:
    """GCC 12 drops this one unless it is told not to look into steps (`THIMBLE_OPAQUE` of kernels/base.h)."""
    indices = made.tensor((1, 17), made.I32)
    operands = [made.tensor((1, 48, 17), made.I8), made.ints(1, shape=())]
    check_compiled(made.single(OPERATORS["ARG_MAX"](), operands, [replace(indices, quant=None)]), flags=(level,))


def test_all_kernels_go_together(tmp_path: Path) -> None:
    """No two headers define one name: any two may meet in a bundle."""
    folder = Path(str(resources.files("thimble"))) / "kernels"
    headers = sorted(path.name for path in folder.glob("*.h") if not path.name.startswith("cmsis_nn"))
    source = tmp_path / "all.c"
    source.write_text("".join(f'#include "{header}"\n' for header in headers), encoding="utf-8")
    command = [*host_compiler(), "-std=c11", *WARNINGS, "-I", str(folder), "-c", str(source), "-o", str(tmp_path / "o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]


@pytest.mark.models
@pytest.mark.parametrize("name", names() or [None])
def test_every_model_has_kernels_or_a_reason(name: str | None) -> None:
    graph = compilable(opened(name))
    verify_graph(graph)
    if name not in REFUSED:
        assert lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)
        return
    with pytest.raises(UnsupportedOperatorError, match=re.escape(REFUSED[name])) as refusal:
        lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)
    pytest.skip(f"{name} IS NOT COMPILED: {refusal.value}")


@pytest.mark.models
@pytest.mark.parametrize("name", [n for n in names() if n not in REFUSED and (EVERYTHING or n in FEW)] or [None])
def test_compiled_models(name: str | None) -> None:
    model = opened(name)
    program = compile_model(model, flavour=Flavour.PORTABLE)
    if model.macs() > MAC_BUDGET:
        pytest.skip(f"{name} IS COMPILED AND NOT RUN: {model.macs() / 1e6:.0f} M MACs")
    with HostProgram(program, flags=QUICK) as compiled:
        for inputs, wanted in recorded(model, str(name)):
            compiled.reset()
            for got, expected in zip(compiled.run(*inputs), wanted, strict=True):
                assert_same(got, expected.reshape(got.shape))
        compiled.reset()
        reference = Executor(model)
        for _, inputs in zip(range(2 if model.macs() <= FEW_MACS else 1), edge_inputs(model), strict=False):
            for got, expected in zip(compiled.run(*inputs), reference.run(*inputs), strict=True):
                assert_same(got, expected, FLOATS)
