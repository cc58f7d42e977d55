# SPDX-License-Identifier: Apache-2.0
"""Compiled models against TFLM itself, and against LiteRT's reference kernels where TFLM refuses (legacy uint8).

    python benchmarks/exact.py MODELS_DIR [--inputs 100] [--only PATTERN] [--flavour portable]

Every model is compiled for this machine and run on random inputs, one after another without a reset, as is the oracle
in a process of its own (either may abort). Integers must be equal; of floats the largest difference is given, over the
largest value. Needs the packages tflite-micro and ai-edge-litert. Exit code 1 when a compiled model differs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thimble.compile import compile_model
from thimble.errors import ThimbleError
from thimble.host import HostProgram
from thimble.ir import Array, DType, Kind, Model, Tensor
from thimble.kernel import Flavour
from thimble.pipeline import load

TOLERANCE = 1e-5
CHUNK = 10
"""Inputs per file, so that large outputs need not all be kept."""
ARENA = 192 << 20


@dataclass(frozen=True)
class Row:
    model: str
    oracle: str
    inputs: int
    verdict: str
    differs: bool = False


def drawn(tensor: Tensor, seed: int) -> Array:
    """Random values: over the whole range, then over narrower ones, floats within two."""
    random, dtype = np.random.default_rng(seed), np.dtype(tensor.dtype.label)
    if dtype.kind == "b":
        return random.integers(0, 2, tensor.shape).astype(bool)
    width = 0.5 ** (seed % 4)
    if dtype.kind == "f":
        return np.asarray(random.uniform(-2 * width, 2 * width, tensor.shape)).astype(dtype)
    info = np.iinfo(dtype)
    middle, half = (int(info.min) + int(info.max) + 1) // 2, (int(info.max) - int(info.min)) / 2 * width
    return np.clip(random.normal(middle, half, tensor.shape), info.min, info.max).astype(dtype)


def oracles(model: Model) -> tuple[str, ...]:
    """Who to ask, in this order."""
    legacy = any(t.dtype is DType.UINT8 and t.kind is Kind.CONSTANT for t in model.main.tensors)
    return ("litert",) if legacy else ("tflm", "litert")


def rounds_otherwise(model: Model, oracle: str) -> bool:
    """Whether the oracle is known to differ: LiteRT rounds int8 FULLY_CONNECTED once, TFLM and Thimble twice."""
    tensors = [model.main.operands(op)[0] for op in model.main.ops if op.kind == "FULLY_CONNECTED"]
    return oracle == "litert" and any(t is not None and t.dtype is DType.INT8 for t in tensors)


def asked(oracle: str, model: Path, batches: Iterator[list[tuple[Array, ...]]], folder: Path) -> list[Path] | str:
    """Files of outputs, one per batch, or why there are none."""
    given = []
    for number, batch in enumerate(batches):
        path = folder / f"in{number:03}.npz"
        np.savez(path, **{f"{i}/{k}": v for i, values in enumerate(batch) for k, v in enumerate(values)})
        given.append(path)
    command = [sys.executable, __file__, "--oracle", oracle, str(model), *map(str, given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"aborts ({done.returncode})"])[-1][:80]
    return [path.with_name(path.name.replace("in", "out")) for path in given]


def compared(program: HostProgram, inputs: list[tuple[Array, ...]], outputs: list[Path]) -> tuple[int, float]:
    """Elements of integers that differ, and the largest relative difference of floats."""
    wrong, worst = 0, 0.0
    for start, path in zip(range(0, len(inputs), CHUNK), outputs, strict=True):
        with np.load(path) as stored:
            for i, values in enumerate(inputs[start : start + CHUNK]):
                for k, got in enumerate(program.run(*values)):
                    wanted = stored[f"{i}/{k}"].reshape(got.shape)
                    if got.dtype.kind != "f":
                        wrong += int((got != wanted).sum())
                    elif got.size:
                        largest = max(float(np.abs(wanted).max()), 1e-6)
                        worst = max(worst, float(np.abs(got - wanted).max()) / largest)
    return wrong, worst


def row(path: Path, count: int, flavour: Flavour) -> Row:
    """One model's line of the table."""
    try:
        model = load(path)
        program = compile_model(model, flavour=flavour)
    except ThimbleError as error:
        return Row(path.stem, "–", 0, f"not compiled: {error}")
    inputs = [tuple(drawn(model.main.tensors[i], seed) for i in model.main.inputs) for seed in range(count)]
    said = []
    for oracle in oracles(model):
        with tempfile.TemporaryDirectory() as name:
            batches = (inputs[i : i + CHUNK] for i in range(0, count, CHUNK))
            outputs = asked(oracle, path, batches, Path(name))
            if isinstance(outputs, str):
                said.append(f"{oracle}: {outputs}")
                continue
            with HostProgram(program, flags=("-O1",)) as compiled:
                wrong, worst = compared(compiled, inputs, outputs)
            floats = f", floats within {worst:.1e}" if worst else ""
            verdict = f"{wrong} integers differ{floats}" if wrong else f"equal{floats}"
            if rounds_otherwise(model, oracle):
                return Row(path.stem, oracle, count, f"{verdict} (LiteRT's FULLY_CONNECTED rounds once)")
            return Row(path.stem, oracle, count, verdict, bool(wrong) or worst > TOLERANCE)
    return Row(path.stem, "–", 0, "; ".join(said))


def run_tflm(model: str, paths: list[Path]) -> None:
    """Outputs of TFLM for files of inputs."""
    from tflite_micro.python.tflite_micro import runtime

    runner = runtime.Interpreter.from_file(model, arena_size=ARENA)
    outputs = len(load(Path(model)).main.outputs)
    for path in paths:
        found = {}
        with np.load(path) as given:
            for key, value in given.items():
                runner.set_input(value, int(key.split("/")[1]))
                if f"{key.split('/')[0]}/{int(key.split('/')[1]) + 1}" not in given.files:
                    runner.invoke()
                    found.update({f"{key.split('/')[0]}/{k}": runner.get_output(k) for k in range(outputs)})
        np.savez(path.with_name(path.name.replace("in", "out")), **found)


def run_litert(model: str, paths: list[Path]) -> None:
    """Outputs of LiteRT's reference kernels for files of inputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runner = Interpreter(model_path=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    runner.allocate_tensors()
    places = [detail["index"] for detail in runner.get_input_details()]
    results = [detail["index"] for detail in runner.get_output_details()]
    for path in paths:
        found = {}
        with np.load(path) as given:
            for key, value in given.items():
                case, place = map(int, key.split("/"))
                runner.set_tensor(places[place], value)
                if place + 1 == len(places):
                    runner.invoke()
                    found.update({f"{case}/{k}": runner.get_tensor(index) for k, index in enumerate(results)})
        np.savez(path.with_name(path.name.replace("in", "out")), **found)


def main() -> None:
    """Print the table, or play the oracle."""
    if sys.argv[1:2] == ["--oracle"]:
        runner = {"tflm": run_tflm, "litert": run_litert}[sys.argv[2]]
        runner(sys.argv[3], [Path(name) for name in sys.argv[4:]])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--only", default="*", help="file names without suffix, with wildcards")
    parser.add_argument("--flavour", default="portable", choices=[f.value for f in Flavour])
    given = parser.parse_args()
    print("| model | oracle | inputs | compiled code |\n|---|---|---:|---|")
    failed = False
    for path in sorted(given.models.glob(f"{given.only}.tflite")):
        try:
            found = row(path, given.inputs, Flavour(given.flavour))
        except ThimbleError as error:
            found = Row(path.stem, "–", 0, f"FAILS: {error}", True)
        failed |= found.differs
        print(f"| {found.model} | {found.oracle} | {found.inputs} | {found.verdict} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
