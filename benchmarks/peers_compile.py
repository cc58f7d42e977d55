# SPDX-License-Identifier: Apache-2.0
"""Compiled models beside those of other compilers, on the same emulated Cortex-M4, in one run.

    python benchmarks/peers_compile.py MODELS_DIR [--onnx2c PROGRAM] [--python PYTHON] [--tvm-python PYTHON]
        [--executorch-python PYTHON]

onnx2c is built from its repository; the others are interpreters in which `pip install` put `onnx emx-onnx-cgen
emlearn`, `apache-tvm tflite`, or `executorch torch`. Without an option, that peer's rows say so. TVM reads the
`.tflite` file; the others get the same weights as ONNX (`peers_onnx.py`), or as what they take in its place, and their
input is transposed to ONNX's layout outside of what is measured.

All C code is built by the same compiler with the same flags and measured alike: instructions of one inference; code and
constants, with what they pull in of the C library; RAM is arena, other static data, input and output, and the stack
that was used. Thimble is there at its default rung and at the one of least RAM. "difference" is the largest distance
of an output from Thimble's, in steps for int8. Exit code 1 if Thimble at its default rung needs more instructions or
more RAM than a peer that ran and whose outputs are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from peers_onnx import channels_first, converted

import thimble
from thimble.compile import DEFAULT_RUNG, HIGHEST_RUNG, compile_model
from thimble.emulate import Bundle, Measurement, emulate, emulate_bundle
from thimble.errors import ThimbleError
from thimble.host import Interface, Port
from thimble.ir import Array, Model
from thimble.kernel import Flavour
from thimble.rewrites import compilable

OURS = "**Thimble**"
MACHINE = "mps2-an386"
# GCC's own language: unlike in ISO C, it joins multiplications and additions of floats where the processor can.
FLAGS = ("-O2", "-std=gnu11")
FLOAT_MODELS = ("kws_true_float32", "pretrainedResnet_float", "ad01_fp32", "vww_96_float")
INT8_MODELS = ("kws_ref_model_int8", "pretrainedResnet_quant", "ad01_int8", "vww_96_int8", "person_detect")
GENERATE = Path(__file__).parent / "peers_generate.py"
CANNOT = 3  # exit code of peers_generate.py
CLOSE = {"float32": 1e-3, "int8": 3.0}  # an output farther from ours is another model's

_ADAPTER = """
#include "model.h"
void model_init(uint8_t *arena) { (void)arena; }
void model_invoke(uint8_t *arena) { CALL(arena, arena + OUTPUT); }
"""


@dataclass(frozen=True)
class Row:
    """One line; `why` instead of figures where there are none, None where a figure is not known."""

    peer: str
    why: str = ""
    instructions: int | None = None
    text: int | None = None
    constants: int | None = None
    ram: int | None = None
    difference: float | None = None

    def __str__(self) -> str:
        figures = (self.instructions, self.text, self.constants, self.ram)
        shown = [f"{figure:,}" if figure is not None else "–" for figure in figures]
        shown.append(f"{self.difference:.2g}" if self.difference is not None else "–")
        return f"{self.peer} | {' | '.join(shown)} | {self.why} |"


@dataclass(frozen=True)
class Peers:
    """Programs of the peers; None where not given."""

    onnx2c: str | None
    python: str | None
    tvm_python: str | None
    executorch_python: str | None


class AbsentError(Exception):
    """There is no figure; the message says why."""


@dataclass(frozen=True)
class Case:
    """An input in both layouts, our outputs for it, and a folder with model.onnx and the like."""

    original: Array  # [N,H,W,C]
    values: Array  # [N,C,H,W]
    expected: Array
    folder: Path


def ours(model: Model, values: Array, rung: int) -> tuple[Row, Array]:
    """Thimble's row, and its outputs."""
    program = compile_model(model, flavour=Flavour.DSP, rung=rung)
    measured = emulate(program, [(values,)], MACHINE, flags=FLAGS)
    return _row(f"{OURS}, rung {rung}", measured, 0.0), measured.outputs[0][0]


def onnx2c(peers: Peers, case: Case) -> Row:
    program = _given(peers.onnx2c, "--onnx2c")
    source = _run([program, "-fentry", str(case.folder / "model.onnx")])
    return _measured("onnx2c", case, source, "entry")


def emx(peers: Peers, case: Case) -> Row:
    """All on the stack and in one file: by default large work space is malloc's and large weights are a file's."""
    python = _given(peers.python, "--python")
    options = ["--large-temp-threshold", "0", "--large-weight-threshold", "0", "--model-name", "entry"]
    made = case.folder / "emx.c"
    command = [python, "-m", "emx_onnx_cgen", "compile", *options, str(case.folder / "model.onnx"), str(made)]
    _run(command)
    return _measured("emx-onnx-cgen", case, made.read_text(encoding="utf-8"), "entry")


def emlearn(peers: Peers, case: Case) -> Row:
    python = _given(peers.python, "--python")
    _generate(python, "emlearn", case)
    source = (case.folder / "emlearn.c").read_text(encoding="utf-8")
    sizes = case.values.size, case.expected.size
    call = f"#define CALL(x, y) net_regress((const float *)(x), {sizes[0]}, (float *)(y), {sizes[1]})\n"
    folder = _run([python, "-c", "import emlearn, pathlib; print(pathlib.Path(emlearn.__file__).parent)"]).strip()
    return _measured("emlearn", case, source + call, None, f"-I{folder}")


def tvm(peers: Peers, case: Case) -> Row:
    """Its int8 models compute in float between quantized tensors: Relax has no integer convolution."""
    python = _given(peers.tvm_python, "--tvm-python")
    case = replace(case, values=case.original)
    _generate(python, "tvm", case)
    find = "import importlib.util as u; print(u.find_spec('tvm').submodule_search_locations[0])"
    package = Path(_run([python, "-c", find]).strip())
    folders = (f"-I{package / 'include'}", f"-I{package.parent / 'tvm_ffi' / 'include'}")
    row = _measured("TVM", case, (case.folder / "tvm.c").read_text(encoding="utf-8"), "entry", *folders)
    return replace(row, why=row.why or "its C code and memory plan; the driver is this benchmark's")


def executorch(peers: Peers, case: Case) -> Row:
    """Its plan and, by the runtime for this computer, its outputs: the package has no runtime for a Cortex-M."""
    python = _given(peers.executorch_python, "--executorch-python")
    _generate(python, "executorch", case)
    figures = json.loads((case.folder / "executorch.json").read_text(encoding="utf-8"))
    difference = _difference(np.load(case.folder / "executorch.npy"), case.expected)
    why = f"planned arena alone: no runtime, no stack; its program file has {figures['program']:,} bytes"
    return Row("ExecuTorch", why, constants=figures["constants"], ram=figures["arena"], difference=difference)


PEERS: tuple[tuple[str, Callable[[Peers, Case], Row]], ...] = (
    ("onnx2c", onnx2c),
    ("emx-onnx-cgen", emx),
    ("emlearn", emlearn),
    ("TVM", tvm),
    ("ExecuTorch", executorch),
)


def rows(peers: Peers, path: Path) -> Iterator[Row]:
    """Our row and the peers'."""
    model = thimble.load(path)
    graph = compilable(model)
    source = graph.tensors[graph.inputs[0]]
    random = np.random.default_rng(0)
    values = random.standard_normal(source.shape, np.float32)
    if source.dtype.label == "int8":
        values = random.integers(-128, 128, source.shape, np.int8)
    first, expected = ours(model, values, DEFAULT_RUNG)
    yield first
    least, outputs = ours(model, values, HIGHEST_RUNG)
    yield replace(least, difference=_difference(outputs, expected))
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        case = Case(values, channels_first(values), expected, Path(name))
        converted(graph).save(case.folder / "model")
        shutil.copyfile(path, case.folder / "model.tflite")
        np.save(case.folder / "input.npy", case.values)
        if peers.python:
            _generate(peers.python, "onnx", case)
        for peer, measure in PEERS:
            try:
                yield measure(peers, case)
            except (AbsentError, ThimbleError) as error:
                yield Row(peer, f"no: {_short(str(error))}")


def _given(program: str | None, option: str) -> str:
    if program is None:
        raise AbsentError(f"not given ({option})")
    return program


def _short(text: str) -> str:
    return " ".join(text.split())[:160].replace("|", "/")


def _run(command: list[str]) -> str:
    """Output of a peer's command.

    Raises:
        AbsentError: it fails; the message is the last error that it prints.
    """
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, env=environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AbsentError(str(error)) from error
    if done.returncode:
        said = done.stdout if done.returncode == CANNOT else done.stdout + done.stderr
        lines = [line for line in said.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        errors = [line for line in lines if re.search(r"Error: |\[Fatal\] ", line)] or lines
        raise AbsentError(re.sub(r"^[-0-9 :.]+\[Fatal\] ", "", errors[-1]))
    return done.stdout


def _generate(python: str, peer: str, case: Case) -> None:
    _run([python, str(GENERATE), peer, str(case.folder)])


def _measured(peer: str, case: Case, source: str, entry: str | None, *flags: str) -> Row:
    """Build generated C code, run it in the emulator; `entry(input, output)` is called, or its macro CALL."""
    interface = _interface(case)
    call = f"#define CALL(x, y) {entry}((void *)(x), (void *)(y))\n" if entry else ""
    name, output = interface.name, interface.outputs[0].offset
    declared = f"""#include <stdint.h>
#define MODEL_INPUT_0_BYTES {interface.inputs[0].nbytes}u
#define MODEL_OUTPUT_0_BYTES {interface.outputs[0].nbytes}u
#define OUTPUT {output}
extern uint8_t model_arena[{interface.arena_bytes}];
static inline uint8_t *model_input_0(uint8_t *arena) {{ return arena; }}
static inline uint8_t *model_output_0(uint8_t *arena) {{ return arena + OUTPUT; }}
void model_init(uint8_t *arena);
void model_invoke(uint8_t *arena);
"""
    arena = f'#include "model.h"\nuint8_t model_arena[{interface.arena_bytes}] __attribute__((aligned(16)));\n'
    files = {
        f"{name}.h": declared,
        f"{name}.c": f"{source}\n{call}{_ADAPTER}",
        f"{name}_weights.c": "",
        f"{name}_arena.c": arena,
    }
    # Warnings off: the code is not ours to judge.
    bundle = Bundle(interface, files)
    measured = emulate_bundle(bundle, [(case.values,)], MACHINE, flags=(*FLAGS, "-w", *flags), seconds=1800)
    return _row(peer, measured, _difference(measured.outputs[0][0], case.expected))


def _interface(case: Case) -> Interface:
    source = Port("input", str(case.values.dtype), case.values.shape, 0)
    result = Port("output", str(case.expected.dtype), case.expected.shape, -(-source.nbytes // 16) * 16)
    return Interface("model", result.offset + result.nbytes, (source,), (result,))


def _row(peer: str, measured: Measurement, difference: float) -> Row:
    sizes = measured.footprint
    return Row(
        peer,
        f"{measured.outside_accesses} accesses outside its memory: {measured.first_outside}"
        if measured.outside_accesses
        else "",
        measured.instructions,
        sizes.text + sizes.library[0],
        sizes.rodata + sizes.data + sizes.library[1] + sizes.library[2],
        sizes.arena + sizes.static_bytes + measured.stack_bytes,
        difference,
    )


def _difference(outputs: Array, expected: Array) -> float:
    """The largest distance, in int8 in steps."""
    return float(np.max(np.abs(outputs.reshape(-1).astype(np.float64) - expected.reshape(-1).astype(np.float64))))


def _beaten(own: Row, peer: Row) -> bool:
    """Whether a peer that ran needs less of something."""
    pairs = ((own.instructions, peer.instructions), (own.ram, peer.ram))
    return peer.instructions is not None and any(a is not None and b is not None and b < a for a, b in pairs)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of .tflite files")
    parser.add_argument("--only", nargs="*", default=[*FLOAT_MODELS, *INT8_MODELS], help="names of models")
    parser.add_argument("--onnx2c", help="onnx2c's program")
    parser.add_argument("--python", help="interpreter with onnx, emx-onnx-cgen and emlearn")
    parser.add_argument("--tvm-python", help="interpreter with apache-tvm and onnx")
    parser.add_argument("--executorch-python", help="interpreter with executorch and torch")
    args = parser.parse_args()
    peers = Peers(args.onnx2c, args.python, args.tvm_python, args.executorch_python)
    print("| model | compiler | instructions | code | constants | RAM | difference | |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    beaten = 0
    for name in args.only:
        tolerance = CLOSE["int8" if name in INT8_MODELS else "float32"]
        own: Row | None = None
        for row in rows(peers, args.models / f"{name}.tflite"):
            same = row.difference is not None and row.difference <= tolerance
            remark = row.why if same or row.difference is None else f"**not the same outputs**; {row.why}".rstrip("; ")
            print(f"| {name if own is None else ''} | {replace(row, why=remark)}", flush=True)
            beaten += own is not None and same and not row.peer.startswith(OURS) and _beaten(own, row)
            own = own or row
    print(f"\nThimble needs more instructions or more RAM than a peer with the same outputs in {beaten} of these rows.")
    return 1 if beaten else 0


if __name__ == "__main__":
    sys.exit(main())
