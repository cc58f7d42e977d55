# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks against TFLM share: models, inputs, and a build of TFLM that lies outside this repository.

The folder given as `--tflm` holds one executable file named `run`:

    run MODEL MACHINE KERNELS INPUTS [--nodes]

* MODEL: a `.tflite` file.
* MACHINE: `mps2-an386` (Cortex-M4), `mps3-an547` (M55), `mps2-an385` (M3), `riscv32` (RV32IMAC), or `cortex-m0`: code
  for a Cortex-M0 on `mps2-an385`, since the emulated M0 board has too little memory for TFLM. A Cortex-M3 executes that
  code instruction by instruction as an M0 does.
* KERNELS: `cmsis-nn`, or `reference` (TFLM's own kernels in portable C++).
* INPUTS: a file with the bytes of all inputs one after another.
* `--nodes`: count per operator as well.

It prints one JSON object: `instructions` of one Invoke, `arena_used` (MicroInterpreter::arena_used_bytes), `text` (code
and constants without the model), `data`, `bss` (without arena and stack), `stack` (the most of AllocateTensors and
Invoke), `outputs` (each as hexadecimal digits) and, if asked for, `nodes`. Otherwise it exits with an error, whose
first line says why.

To build such a folder: compile tflite-micro (its sources.inc lists the files) and CMSIS-NN with the core's GCC at -O2,
`-DNDEBUG -DTF_LITE_STRIP_ERROR_STRINGS -DTF_LITE_STATIC_MEMORY -DKERNELS_OPTIMIZED_FOR_SPEED -ffunction-sections
-fno-rtti -fno-exceptions -fno-threadsafe-statics`, into one archive per core and kernel set; with CMSIS-NN take the
files of kernels/cmsis_nn where there are some, and add `-DCMSIS_NN`. Per model compile a main program with exactly the
operators that the model needs (int8-only registrations where TFLM has them), link it with newlib-nano and
--gc-sections, and run it in QEMU under the plug-in of `src/thimble/emulator`, which counts between two marks. Stack:
fill it with a pattern before the call, and look afterwards how far the pattern is gone.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from thimble.compile import compile_model, flavour_of
from thimble.emulate import MACHINES, Measurement, emulate
from thimble.ir import Array, DType, Graph, Kind, Model, Tensor
from thimble.pipeline import load
from thimble.program import Program
from thimble.target import target_named

MLPERF = ("kws_ref_model_int8", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "person_detect")
"""The four models of MLPerf Tiny and TFLM's own example."""
LARGEST = 1_000_000
SEED = 1
M4, M55, M3, M0, RISCV = "mps2-an386", "mps3-an547", "mps2-an385", "cortex-m0", "riscv32"
NAMES = {M4: "Cortex-M4", M55: "Cortex-M55", M3: "Cortex-M3", M0: "Cortex-M0", RISCV: "RISC-V (RV32IMAC)"}


@dataclass(frozen=True)
class Peer:
    """What TFLM needs for one inference."""

    instructions: int
    arena_used: int
    text: int
    data: int
    bss: int
    stack: int
    outputs: tuple[str, ...]
    nodes: tuple[int, ...] = ()

    @property
    def ram(self) -> int:
        return self.arena_used + self.data + self.bss + self.stack


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that these benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of .tflite files")
    parser.add_argument("--tflm", type=Path, required=True, help="a build of TFLM, see tflm_build.py")
    parser.add_argument("--only", default="*", help="models by name, with wildcards")
    return parser


def noise(model: Model) -> tuple[Array, ...]:
    """Inputs: integers from their whole range, floats between -1 and 1."""
    random = np.random.default_rng(SEED)
    return tuple(_noise(model.main.tensors[i], random) for i in model.main.inputs)


def _noise(tensor: Tensor, random: np.random.Generator) -> Array:
    dtype = np.dtype(tensor.dtype.label)
    if dtype.kind == "f":
        return np.asarray(random.uniform(-1, 1, tensor.shape)).astype(dtype)
    info = np.iinfo(dtype)
    return np.asarray(random.integers(info.min, info.max, tensor.shape, dtype=dtype, endpoint=True))


def int8_models(folder: Path) -> list[Path]:
    """All other models below one megabyte of which at least half of the operators give int8; TFLM may refuse them."""
    paths = (path for path in sorted(folder.glob("*.tflite")) if path.stem not in MLPERF)
    return [path for path in paths if path.stat().st_size < LARGEST and _is_int8(load(path).main)]


def _is_int8(graph: Graph) -> bool:
    results = [graph.tensors[op.outputs[0]] for op in graph.ops if op.outputs]
    constants = [t for t in graph.tensors if t.kind is Kind.CONSTANT]
    int8 = sum(tensor.dtype is DType.INT8 for tensor in results)
    return bool(results) and 2 * int8 >= len(results) and not any(t.dtype is DType.UINT8 for t in constants)


def tflm(folder: Path, model: Path, machine: str, kernels: str, *, nodes: bool = False) -> Peer | str:
    """TFLM's figures, or why there are none."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(np.ascontiguousarray(array).tobytes() for array in noise(load(model))))
        file.flush()
        command = [str(folder / "run"), str(model), machine, kernels, file.name, *(["--nodes"] if nodes else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[0]
    found = json.loads(done.stdout)
    found["outputs"], found["nodes"] = tuple(found["outputs"]), tuple(found.get("nodes", ()))
    return Peer(**{name.name: found[name.name] for name in fields(Peer)})


def compiled(model: Path, machine: str, rung: int = 2) -> Program:
    """The program with the kernels that suit the machine's processor."""
    return compile_model(load(model), flavour=flavour_of(target_named(MACHINES[machine].target)), rung=rung)


def measured(
    model: Path, machine: str, *, per_step: bool = False, memory: bool = False, compiler: str | None = None
) -> tuple[Program, Measurement]:
    """One inference of the compiled model on noise."""
    program = compiled(model, machine)
    inputs = [noise(load(model))]
    return program, emulate(program, inputs, machine, per_step=per_step, memory=memory, compiler=compiler)


def same(ours: Measurement, theirs: Peer) -> bool:
    """Whether both returned the same bytes."""
    return tuple(array.tobytes().hex() for array in ours.outputs[0]) == theirs.outputs


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def header(*names: str) -> str:
    """A table's first two lines; all columns but the first are numbers."""
    return f"| {' | '.join(names)} |\n|---|{'---:|' * (len(names) - 1)}"


def row(*cells: str | int) -> str:
    """One line of a table."""
    return f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in cells)} |"


def chosen(paths: Sequence[Path], pattern: str) -> list[Path]:
    """The models whose name matches."""
    return [path for path in paths if path.match(f"{pattern}.tflite")]
