# SPDX-License-Identifier: Apache-2.0
"""TFLM's custom operators for audio: references against TFLM itself, compiled code against the references.

All models run in one process on TFLM (this file as a script).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tflm_models as made
from compiled import check_compiled
from run_tflite import HAS_TFLM
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.ir import DType, Kind, Model, Shape, Tensor, TensorId

I16, I32, U32, U64 = DType.INT16, DType.INT32, DType.UINT32, DType.UINT64
CHANNELS = 40
RUNS = 4
Arrays = list[np.ndarray]


def plain(shape: Shape, dtype: DType, values: object = None) -> Tensor:
    """A tensor without quantization; a constant if there are values."""
    data = None if values is None else np.asarray(values).astype(dtype.label).tobytes()
    return Tensor(TensorId(0), "", shape, dtype, None, Kind.ACTIVATION if data is None else Kind.CONSTANT, data)


def rfft(length: int, given: int, frames: int) -> Model:
    shape = (given,) if frames == 1 else (frames, given)
    spectrum = (length + 2,) if frames == 1 else (frames, length + 2)
    return made.custom("SignalRfft", [plain(shape, I16)], [plain(spectrum, I16)], T=7, fft_length=length)


def window(frames: int, shift: int) -> Model:
    weights = np.random.default_rng(shift).integers(-32768, 32768, 24)
    shape = (frames, 24)
    return made.custom(
        "SignalWindow", [plain(shape, I16), plain((24,), I16, weights)], [plain(shape, I16)], shift=shift
    )


def filter_bank() -> Model:
    random = np.random.default_rng(3)
    widths = random.integers(0, 9, CHANNELS + 1)
    starts = np.cumsum(widths) - widths
    tables = [random.integers(-4096, 4097, widths.sum()) for _ in range(2)]
    constants = [plain((len(t),), I16, t) for t in (*tables, starts, starts, widths)]
    inputs: list[Tensor | None] = [plain((int(widths.sum()),), U32), *constants]
    return made.custom("SignalFilterBank", inputs, [plain((CHANNELS,), U64)], num_channels=CHANNELS)


def subtraction(*, clamping: bool) -> Model:
    options = {
        "alternate_one_minus_smoothing": 15401,
        "alternate_smoothing": 983,
        "clamping": clamping,
        "min_signal_remaining": 819,
        "num_channels": CHANNELS,
        "one_minus_smoothing": 15975,
        "smoothing": 409,
        "smoothing_bits": 10,
        "spectral_subtraction_bits": 14,
    }
    channels = plain((CHANNELS,), U32)
    return made.custom("SignalFilterBankSpectralSubtraction", [channels], [channels, channels], **options)


def pcan(shift: int) -> Model:
    gains = np.random.default_rng(shift).integers(-32768, 32768, 125)
    channels = plain((CHANNELS,), U32)
    return made.custom("SignalPCAN", [channels, channels, plain((125,), I16, gains)], [channels], snr_shift=shift)


def models() -> dict[str, Model]:
    channels = plain((CHANNELS,), U32)
    found = {
        "scale": made.custom("SignalFftAutoScale", [plain((9,), I16)], [plain((9,), I16), plain((), I32)]),
        "energy": made.custom("SignalEnergy", [plain((34,), I16)], [plain((17,), U32)], start_index=0, end_index=17),
        "filter bank": filter_bank(),
        "square root": made.custom("SignalFilterBankSquareRoot", [plain((CHANNELS,), U64), plain((), I32)], [channels]),
        "subtraction": subtraction(clamping=False),
        "subtraction, clamped": subtraction(clamping=True),
    }
    for length, given, frames in ((4, 4, 1), (8, 5, 1), (16, 16, 3), (32, 32, 1), (64, 50, 1), (512, 480, 1)):
        found[f"rfft {length} of {given}, {frames}"] = rfft(length, given, frames)
    for shift in (0, 6, 12):
        found[f"window {shift}"] = window(2, shift)
        found[f"pcan {shift}"] = pcan(shift)
    for scale, bits in ((64, 3), (1, 0), (40000, 2)):
        options = {"output_scale": scale, "input_correction_bits": bits}
        found[f"log {scale}"] = made.custom("SignalFilterBankLog", [channels], [plain((CHANNELS,), I16)], **options)
    return found


MODELS = models()


def drawn(tensor: Tensor, run: int, random: np.random.Generator) -> np.ndarray:
    """Values of every magnitude; the last run has the extremes."""
    if tensor.shape == ():
        return np.array(run, np.int32)  # a number of bits
    info = np.iinfo(tensor.dtype.label)
    if run == RUNS - 1:
        return random.choice(np.array([info.min, info.max, 0], tensor.dtype.label), tensor.shape)
    scale = 2.0 ** random.integers(0, tensor.dtype.bits, tensor.shape)
    values = random.uniform(-1 if info.min else 0, 1, tensor.shape) * (scale if run else float(info.max))
    return np.clip(values, info.min, info.max).astype(tensor.dtype.label)


def inputs(name: str) -> list[Arrays]:
    random, graph = np.random.default_rng(len(name)), MODELS[name].main
    return [[drawn(graph.tensors[i], run, random) for i in graph.inputs] for run in range(RUNS)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """TFLM's outputs by `model/run/output`, of all models at once."""
    if not HAS_TFLM:
        pytest.skip("the wheel tflite_micro is absent: references are not compared with TFLM")
    folder = tmp_path_factory.mktemp("models")
    for place, (name, model) in enumerate(MODELS.items()):
        (folder / f"{place:03}.tflite").write_bytes(model_to_bytes(model))
        np.savez(
            folder / f"{place:03}.npz",
            **{f"{r}/{i}": v for r, row in enumerate(inputs(name)) for i, v in enumerate(row)},
        )
    done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "out.npz") as stored:
        return dict(stored)


@pytest.mark.wheel
@pytest.mark.parametrize("name", MODELS)
def test_as_tflm(name: str, recorded: dict[str, np.ndarray]) -> None:
    executor, place = Executor(MODELS[name]), list(MODELS).index(name)
    for run, row in enumerate(inputs(name)):
        for index, value in enumerate(executor.run(*row)):
            expected = recorded[f"{place:03}/{run}/{index}"]
            np.testing.assert_array_equal(value, expected.reshape(value.shape), f"inference {run}, output {index}")


@pytest.mark.parametrize("name", MODELS)
def test_compiled(name: str) -> None:
    check_compiled(MODELS[name], inputs=[tuple(row) for row in inputs(name)])


def test_damaged_options_are_named() -> None:
    broken = made.custom("SignalWindow", [plain((24,), I16), plain((24,), I16, np.zeros(24))], [plain((24,), I16)])
    with pytest.raises(UnsupportedOperatorError, match="SignalWindow: its option shift is missing"):
        Executor(broken).run(np.zeros(24, np.int16))
    with pytest.raises(UnsupportedOperatorError, match="length of 48; powers of two"):
        Executor(rfft(48, 48, 1)).run(np.zeros(48, np.int16))


def main(folder: Path) -> None:
    """Run each model of the folder on TFLM and write what came out."""
    from tflite_micro.python.tflite_micro import runtime

    found = {}
    for path in sorted(folder.glob("*.tflite")):
        print(path.name, file=sys.stderr, flush=True)  # names the model that aborts
        runner = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=1 << 20)
        with np.load(path.with_suffix(".npz")) as given:
            for run in range(RUNS):
                for index in range(sum(key.startswith(f"{run}/") for key in given.files)):
                    runner.set_input(given[f"{run}/{index}"], index)
                runner.invoke()
                for index in range(2):
                    try:
                        found[f"{path.stem}/{run}/{index}"] = runner.get_output(index)
                    except (IndexError, RuntimeError):
                        break
    np.savez(folder / "out.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
