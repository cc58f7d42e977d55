# SPDX-License-Identifier: Apache-2.0
"""benchmarks/accuracy.py on generated samples in the layout of MLPerf Tiny."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tflm_models import I8, I32, const, single, tensor
from thimble.compile import compile_model
from thimble.errors import OptionError
from thimble.host import HostProgram, Port, interface_of
from thimble.ir import Kind, Model, Quant, Tensor, TensorId
from thimble.kernel import Flavour
from thimble.ops import OPERATORS
from thimble.produce import compile_bundle


def _script() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "accuracy.py"
    spec = importlib.util.spec_from_file_location("accuracy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


accuracy = _script()


def _scaled(base: Tensor, scale: float, zero: int = 0, data: bytes | None = None) -> Tensor:
    return Tensor(
        TensorId(0), base.name, base.shape, base.dtype, Quant((scale,), (zero,)), base.kind, data or base.data
    )


def classifier(zero: int = 0) -> Model:
    """Four values in, the same out: the class is the place of the largest."""
    weights = (np.eye(4, dtype=np.int8) * 64).tobytes()
    bias = Tensor(TensorId(0), "", (4,), I32, Quant((1 / 64,), (0,)), Kind.CONSTANT, bytes(16))
    inputs: list[Tensor | None] = [
        _scaled(tensor((1, 4), I8), 1.0, zero),
        _scaled(const((4, 4), I8), 1 / 64, data=weights),
        bias,
    ]
    return single(OPERATORS["FULLY_CONNECTED"](), inputs, [_scaled(tensor((1, 4), I8), 1.0, zero)])


def tanh() -> Model:
    """Gives small values back well and large ones badly."""
    return single(OPERATORS["TANH"](), [_scaled(tensor((1, 8), I8), 1 / 32)], [_scaled(tensor((1, 8), I8), 1 / 128)])


def evaluated(model: Model, folder: Path) -> tuple[tuple[object, ...], int]:
    with HostProgram(compile_model(model, flavour=Flavour.PORTABLE), flags=("-O1",)) as code:
        ports = accuracy.ports_of(code.interface.inputs, code.interface.outputs)
        runs = [accuracy.compiled_run(code), accuracy.reference_run(model)]
        return accuracy.evaluate(folder, accuracy.read_labels(folder), ports, runs)


def write(folder: Path, rows: list[str], files: dict[str, bytes]) -> None:
    (folder / "y_labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(("zero", "dtype"), [(0, np.int8), (-128, np.uint8)], ids=["signed bytes", "pixels"])
def test_top_1(tmp_path: Path, zero: int, dtype: type) -> None:
    random = np.random.default_rng(3)
    rows, files, right = [], {}, 0
    for index in range(20):
        values = random.permutation([3, 40, 80, 120]).astype(dtype)  # the largest is the same, signed or not
        label = int(random.integers(0, 4))
        right += int(values.argmax() == label)
        rows.append(f"s{index}.bin,4,{label}")
        files[f"s{index}.bin"] = values.tobytes()
    write(tmp_path, rows, files)
    (compiled, reference), differ = evaluated(classifier(zero), tmp_path)
    assert 0 < right < 20
    assert compiled.accuracy == reference.accuracy == right / 20
    assert differ == 0


def test_unsigned_bytes_are_not_taken_for_signed_ones(tmp_path: Path) -> None:
    """200 is more than 100, but less as a signed byte."""
    write(tmp_path, ["a.bin, 4, 2"], {"a.bin": bytes([0, 100, 200, 1])})
    (compiled, _), _ = evaluated(classifier(-128), tmp_path)
    assert compiled.accuracy == 1
    (compiled, _), _ = evaluated(classifier(0), tmp_path)
    assert compiled.accuracy == 0


def test_anomalies_by_sliding_window(tmp_path: Path) -> None:
    """Windows of eight floats, two apart; anomalies have large values in one place."""
    random = np.random.default_rng(4)
    rows, files = [], {}
    for index in range(12):
        label = index % 2
        values = random.uniform(-0.2, 0.2, 20).astype("<f4")
        values[random.integers(0, 20)] *= 1 + 10 * label
        rows.append(f"s{index}.bin,2,{label},32,8")
        files[f"s{index}.bin"] = values.tobytes()
    write(tmp_path, rows, files)
    (compiled, reference), differ = evaluated(tanh(), tmp_path)
    assert differ == 0
    assert compiled.answers == reference.answers
    first = np.frombuffer(files["s0.bin"], "<f4")
    port = interface_of(compile_model(tanh(), flavour=Flavour.PORTABLE)).inputs[0]
    errors = []
    for start in range(0, 13, 2):
        part = first[start : start + 8]
        q = np.clip(np.rint(part / np.float32(port.scale)), -128, 127)
        out = np.clip(np.rint(np.tanh(q / 32) * 128), -128, 127) / 128
        errors.append(np.mean((part - out) ** 2))
    assert compiled.answers[0] == pytest.approx(np.mean(errors), rel=0.05)
    assert 0.5 < compiled.auc <= 1


def test_area_under_the_curve() -> None:
    assert accuracy.Result([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]).auc == 1
    assert accuracy.Result([1, 1, 0, 0], [0.1, 0.2, 0.3, 0.4]).auc == 0
    assert accuracy.Result([0, 1], [0.5, 0.5]).auc == 0.5
    assert accuracy.Result([0, 1, 0, 1], [1, 2, 3, 4]).auc == 0.75
    with pytest.raises(OptionError, match="both classes"):
        _ = accuracy.Result([1, 1], [0.5, 0.5]).auc


@pytest.mark.parametrize(
    ("rows", "message"),
    [(["a.bin"], "line 1: expected"), (["a.bin,4,2", "b.bin,x,1"], "line 2: expected"), ([], "is empty")],
)
def test_labels_that_are_not(tmp_path: Path, rows: list[str], message: str) -> None:
    write(tmp_path, rows, {})
    with pytest.raises(OptionError, match=message):
        accuracy.read_labels(tmp_path)


def test_samples_that_do_not_suit_the_model(tmp_path: Path) -> None:
    port = Port("x", "int8", (1, 4), 0, "", 1.0, 0)
    with pytest.raises(OptionError, match="5 bytes are no input"):
        accuracy.values_of(bytes(5), port, "a.bin", signed=True)
    with pytest.raises(OptionError, match="no window of 32"):
        list(accuracy.windows(bytes(4), accuracy.Sample("a.bin", 2, 0, 32, 8)))
    write(tmp_path, ["a.bin,3,2"], {"a.bin": bytes(4)})
    with pytest.raises(OptionError, match="3 classes, the model gives 4"):
        evaluated(classifier(), tmp_path)


def test_samples_are_spread_evenly() -> None:
    samples = [accuracy.Sample(str(i), 2, 0) for i in range(10)]
    assert [s.file for s in accuracy.spread(samples, 4)] == ["0", "2", "5", "7"]
    assert accuracy.spread(samples, None) == samples
    assert accuracy.spread(samples, 0) == []


@pytest.mark.models
def test_the_command_takes_models_and_bundles(
    tmp_path: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(5)
    data = tmp_path / "data"
    data.mkdir()
    files = {f"s{i}.bin": random.integers(-128, 128, 490, dtype=np.int8).tobytes() for i in range(3)}
    write(data, [f"s{i}.bin,12,{i}" for i in range(3)], files)
    model = models_dir / "kws_ref_model_int8.tflite"
    assert accuracy.run([str(model), str(data), "--reference", "1"]) == 0
    first = capsys.readouterr().out
    assert "on 3 samples" in first
    assert "outputs differ on 0 of 1 samples" in first
    compile_bundle(model, tmp_path / "bundle", target="host")
    assert accuracy.run([str(tmp_path / "bundle"), str(data)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == first.splitlines()[0]
