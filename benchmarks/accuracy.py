# SPDX-License-Identifier: Apache-2.0
"""Accuracy of compiled code on the samples of MLPerf Tiny, beside the NumPy reference.

    benchmarks/accuracy MODEL|BUNDLE DATA [--limit N] [--reference N] [--bytes auto|signed|unsigned] [--model MODEL]

MODEL is a `.tflite` file, which is compiled for this machine; BUNDLE is a folder that `thimble compile` wrote. DATA is
a folder with raw `.bin` files and `y_labels.csv`, whose lines are: file name, number of classes, class. Two more
columns make it anomaly detection: window and stride in bytes; class 1 is an anomaly. Such a file is cut into windows,
the model gives each back as well as it can, and the file's score is the mean squared error over all of them.

Printed is the share of right answers (top-1), or the area under the ROC curve (AUC), of compiled code and of the
reference, which runs operators in NumPy and is slow: `--reference` says on how many samples, 0 is none. A bundle has
no reference unless `--model` names the file. Exit code 1 when the two differ in any output.

Source: the data sets' layout is that of EEMBC's EnergyRunner (datasets/README.md): images as unsigned bytes RGB, MFCC
as signed bytes, spectrograms as little-endian float32.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thimble.bundle import read_manifest
from thimble.compile import compile_model
from thimble.errors import OptionError, ThimbleError
from thimble.execute import Executor
from thimble.host import HostBundle, HostProgram, Port, interface_of
from thimble.inference import quantized, real
from thimble.ir import Array, Model
from thimble.kernel import Flavour
from thimble.pipeline import load

LABELS = "y_labels.csv"
Run = Callable[[Array], Array]
"""One inference from a fresh state: the model's input to its first output."""


@dataclass(frozen=True)
class Sample:
    """A line of the labels. `window` and `stride` are bytes, 0 where the file is one input."""

    file: str
    classes: int
    label: int
    window: int = 0
    stride: int = 0


@dataclass(frozen=True)
class Ports:
    """How the model's input and first output are to be read."""

    given: Port
    found: Port


@dataclass
class Result:
    """Answers so far: classes or, for anomaly detection, scores."""

    labels: list[int] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        right = sum(int(a == b) for a, b in zip(self.answers, self.labels, strict=True))
        return right / max(1, len(self.labels))

    @property
    def auc(self) -> float:
        """Chance that an anomaly scores higher than a normal file, ties counting half."""
        scores, labels = np.array(self.answers), np.array(self.labels)
        normal, anomaly = scores[labels == 0], scores[labels == 1]
        if not normal.size or not anomaly.size:
            raise OptionError("the area under the curve needs samples of both classes")
        higher = (anomaly[:, None] > normal[None, :]).sum() + (anomaly[:, None] == normal[None, :]).sum() / 2
        return float(higher / (normal.size * anomaly.size))


def read_labels(folder: Path) -> list[Sample]:
    """The samples that the labels name.

    Raises:
        OptionError: the file is missing, or a line is not what it should be.
    """
    path = folder / LABELS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror or error}") from None
    samples = []
    for number, cells in enumerate(csv.reader(lines, skipinitialspace=True), 1):
        if not cells:
            continue
        try:
            samples.append(Sample(cells[0], *map(int, cells[1:])))
        except (TypeError, ValueError):
            raise OptionError(
                f"{path}, line {number}: expected file, classes, class and perhaps window, stride; found {cells}"
            ) from None
    if not samples:
        raise OptionError(f"{path}: is empty")
    return samples


def values_of(data: bytes, port: Port, source: str, *, signed: bool) -> tuple[Array, Array]:
    """A sample's bytes as the model's input, and as real numbers.

    Four bytes per element are float32 and are quantized; one byte is the quantized value itself, to which unsigned
    bytes come by subtracting 128.

    Raises:
        OptionError: the number of bytes is neither.
    """
    if len(data) == 4 * port.elements:
        numbers = np.frombuffer(data, "<f4").astype(np.float32).reshape(port.shape)
        return (numbers if port.dtype == "float32" else quantized(numbers, port)), numbers
    if len(data) != port.elements or port.dtype not in {"int8", "uint8"}:
        raise OptionError(f"{source}: {len(data)} bytes are no input '{port.name}', which is {port}")
    if port.dtype == "int8" and not signed:
        array = (np.frombuffer(data, np.uint8).astype(np.int16) - 128).astype(np.int8)
    else:
        array = np.frombuffer(data, port.dtype)
    array = array.reshape(port.shape)
    return array, real(array, port)


def windows(data: bytes, sample: Sample) -> Iterator[bytes]:
    """The parts of a file that are inputs."""
    if not sample.window:
        yield data
        return
    if sample.stride <= 0 or len(data) < sample.window:
        raise OptionError(f"{sample.file}: {len(data)} bytes have no window of {sample.window} by {sample.stride}")
    for start in range(0, len(data) - sample.window + 1, sample.stride):
        yield data[start : start + sample.window]


def answer(sample: Sample, given: Sequence[Array], found: Sequence[Array], port: Port) -> float:
    """The class with the highest output, the first of equals; or the mean squared error."""
    if not sample.window:
        if found[0].size != sample.classes:
            raise OptionError(f"{sample.file}: {sample.classes} classes, the model gives {found[0].size} values")
        return float(found[0].reshape(-1).argmax())
    errors = [np.mean((real(b, port).reshape(-1) - a.reshape(-1)) ** 2) for a, b in zip(given, found, strict=True)]
    return float(np.mean(errors))


def signed_bytes(port: Port, choice: str) -> bool:
    """Whether bytes are signed; by themselves: not where the model's input cannot be negative, as with pixels."""
    return port.zero_point != -128 if choice == "auto" else choice == "signed"


def evaluate(
    folder: Path, samples: Sequence[Sample], ports: Ports, runs: Sequence[Run], choice: str = "auto"
) -> tuple[tuple[Result, ...], int]:
    """What each of `runs` makes of the samples, and on how many they differ in any output."""
    results, differ = tuple(Result() for _ in runs), 0
    signed = signed_bytes(ports.given, choice)
    for sample in samples:
        try:
            data = (folder / sample.file).read_bytes()
        except OSError as error:
            raise OptionError(f"{folder / sample.file}: cannot be read: {error.strerror or error}") from None
        given = [values_of(part, ports.given, sample.file, signed=signed) for part in windows(data, sample)]
        outputs = [[run(array) for array, _ in given] for run in runs]
        for result, found in zip(results, outputs, strict=True):
            result.labels.append(sample.label)
            result.answers.append(answer(sample, [numbers for _, numbers in given], found, ports.found))
        differ += any(
            a.tobytes() != b.tobytes() for other in outputs[1:] for a, b in zip(outputs[0], other, strict=True)
        )
    return results, differ


def compiled_run(code: HostBundle) -> Run:
    """Compiled code as a function."""

    def run(array: Array) -> Array:
        code.reset()
        return code.run(array)[0]

    return run


def reference_run(model: Model) -> Run:
    """The NumPy reference as a function."""
    executor = Executor(model)

    def run(array: Array) -> Array:
        executor.reset()
        return executor.run(array)[0]

    return run


def ports_of(given: Sequence[Port], found: Sequence[Port]) -> Ports:
    """The one input and the first output.

    Raises:
        OptionError: the model has several inputs, or no output.
    """
    if len(given) != 1 or not found:
        raise OptionError(f"needs a model with one input and an output, not {len(given)} and {len(found)}")
    return Ports(given[0], found[0])


def code_of(source: Path, flavour: Flavour) -> tuple[HostBundle, Ports]:
    """A model compiled for this machine, or a bundle."""
    if source.is_dir():
        written = read_manifest(source)
        files = [source.resolve() / name for name in written.sources]
        return HostBundle(written.interface, files), ports_of(written.inputs, written.outputs)
    program = compile_model(load(source), flavour=flavour)
    interface = interface_of(program)
    return HostProgram(program), ports_of(interface.inputs, interface.outputs)


def report(name: str, result: Result, anomalies: bool) -> str:
    """One line."""
    value = f"AUC {result.auc:.4f}" if anomalies else f"top-1 {100 * result.accuracy:.2f} %"
    return f"{name}: {value} on {len(result.labels)} samples"


def run(arguments: Sequence[str] | None = None) -> int:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a .tflite file or the folder of a bundle")
    parser.add_argument("data", type=Path, help=f"folder of .bin files and {LABELS}")
    parser.add_argument("--limit", type=int, help="only so many samples, evenly spread")
    parser.add_argument("--reference", type=int, help="samples for the NumPy reference, evenly spread; all without it")
    parser.add_argument("--bytes", default="auto", choices=["auto", "signed", "unsigned"])
    parser.add_argument("--model", type=Path, help="the .tflite file that the bundle was compiled from")
    parser.add_argument("--flavour", default="portable", choices=[f.value for f in Flavour if not f.calls_cmsis_nn])
    options = parser.parse_args(arguments)
    samples = spread(read_labels(options.data), options.limit)
    code, ports = code_of(options.source, Flavour(options.flavour))
    results, _ = evaluate(options.data, samples, ports, [compiled_run(code)], options.bytes)
    anomalies = samples[0].window > 0
    print(report("compiled", results[0], anomalies), flush=True)
    file = options.model or (None if options.source.is_dir() else options.source)
    few = spread(samples, options.reference)
    if file is None or not few:
        return 0
    both = [compiled_run(code), reference_run(load(file))]
    results, differ = evaluate(options.data, few, ports, both, options.bytes)
    for name, result in zip(("compiled", "reference"), results, strict=True):
        if name == "reference" or len(few) < len(samples):
            print(report(name, result, anomalies))
    print(f"outputs differ on {differ} of {len(few)} samples")
    return 1 if differ else 0


def spread(samples: Sequence[Sample], count: int | None) -> list[Sample]:
    """So many of the samples, evenly spread; all without a count."""
    if count is None or count >= len(samples):
        return list(samples)
    return [samples[i * len(samples) // count] for i in range(count)]


def main() -> None:
    """Run the command."""
    try:
        sys.exit(run())
    except ThimbleError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
