# SPDX-License-Identifier: Apache-2.0
"""What one of each feature of a kernel takes on each core: makes `src/thimble/costs/kernels.json`, or checks it.

    python benchmarks/calibrate_kernels.py [--core CORE ...] [--jobs N]
    python benchmarks/calibrate_kernels.py --check MODELS_DIR [--core CORE ...] [--only PATTERN] [--each]

Layers of many shapes (`calibration_layers.py`) run on the emulator, many in one program, counted step by step. Per
kernel and core the costs are those, none of them negative, for which the sum of squared relative errors is least. The
check emulates real models and prints predicted beside counted instructions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from calibration_layers import networks

from thimble.arena import arena_problem
from thimble.compile import compile_model, flavour_of
from thimble.emulate import MACHINES, emulate
from thimble.errors import ThimbleError
from thimble.features.of_call import features_of
from thimble.instructions import NOTHING, tables, traffic_of_step
from thimble.ir import Array, DType, Graph, Kind, OpId
from thimble.kernel import Choice, Flavour, KernelCall
from thimble.lifetime import shipped_schedule
from thimble.lower import Unit, assembled, lowered
from thimble.memory import Solution
from thimble.pack import pack
from thimble.pipeline import load
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.streaming import Segment
from thimble.target import target_named

CORES = {
    "cortex-m0": "cortex-m0",
    "cortex-m3": "mps2-an385",
    "cortex-m4": "mps2-an386",
    "cortex-m55": "mps3-an547",
    "riscv32": "riscv32",
}
"""Cores that are calibrated, and the machine. The M0's own has too little memory; an M3 runs its code too."""
TABLE = Path(__file__).parent.parent / "src" / "thimble" / "costs" / "kernels.json"
SOURCE = (
    "Instructions, words read of constants, words read and written of the arena, and accesses to the stack that one of "
    "each feature of a kernel call takes (src/thimble/features/of_call.py). SPDX-License-Identifier: Apache-2.0. "
    "Counted by the emulator in code of GCC -O2, fitted by benchmarks/calibrate_kernels.py."
)
SEED = 1
WORK_SPACES = (None, 1200, 300, 0)
"""Bytes of work space that kernels may have."""
FEW = 300
"""Calls of fewer instructions, reads or writes count for less: their relative errors matter to nobody."""
LARGEST = 1 << 20
"""Bytes of the model files that the check runs."""
Sample = tuple[KernelCall, tuple[float, ...]]
Kernels = dict[str, dict[str, tuple[float, ...]]]


def machine_of(core: str) -> str:
    """The machine's name; makes the one for Cortex-M0 code known."""
    if core == "cortex-m0" and core not in MACHINES:
        small = MACHINES["microbit"]
        MACHINES[core] = replace(MACHINES["mps2-an385"], target=core, flags=small.flags, clang=())
    return CORES[core]


def noise(program: Program) -> tuple[Array, ...]:
    """Inputs drawn from a fixed seed."""
    random = np.random.default_rng(SEED)
    return tuple(
        _noise(random, program.graph.tensors[i].shape, program.graph.tensors[i].dtype) for i in program.graph.inputs
    )


def _noise(random: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Array:
    kind = np.dtype(dtype.label)
    if dtype is DType.BOOL:
        return random.integers(0, 2, shape).astype(bool)
    if kind.kind == "f":
        return np.asarray(random.uniform(-1, 1, shape), kind)
    limits = np.iinfo(kind)
    return np.asarray(random.integers(limits.min, limits.max, shape, kind, endpoint=True))


def choices_of(core: str) -> tuple[Choice, ...]:
    """All kernels that a core may be given: of its flavours, with less and less work space."""
    flavours = (Flavour.MVE, Flavour.DSP, Flavour.PORTABLE)
    own = flavours[flavours.index(flavour_of(target_named(core))) :]
    limits = {Flavour.PORTABLE: (None,)}
    return tuple(Choice(flavour, limit) for flavour in own for limit in limits.get(flavour, WORK_SPACES))


def costs_on(core: str) -> Kernels:
    """What one of each feature takes, by kernel."""
    return {kernel: fitted(samples) for kernel, samples in samples_of(core).items()}


def samples_of(core: str) -> dict[str, list[Sample]]:
    """Calls with what they took, by kernel."""
    found: dict[KernelCall, tuple[float, ...]] = {}
    for model in networks():
        graph = compilable(model)
        for choice in choices_of(core):
            part = unseen(graph, choice, found)
            if part is not None:
                found.update(counted(plain_program(part, choice), core))
    kernels: dict[str, list[Sample]] = defaultdict(list)
    for call, counts in found.items():
        kernels[call.kernel].append((call, counts))
    return kernels


def unseen(graph: Graph, choice: Choice, found: Container[KernelCall]) -> Graph | None:
    """The operators of a graph whose calls have not been counted, each on inputs of its own; None if there are none."""
    units = chosen(graph, choice)
    fresh = [op for op, unit in zip(graph.ops, units, strict=True) if any(c not in found for c in unit.calls[0])]
    ops = tuple(replace(op, id=OpId(number)) for number, op in enumerate(fresh))
    made = tuple(t for op in ops for t in op.outputs)
    read = dict.fromkeys(t for op in ops for t in op.inputs if t is not None and t not in made)
    given = tuple(t for t in read if graph.tensors[t].kind in {Kind.INPUT, Kind.ACTIVATION})
    return replace(graph, ops=ops, inputs=given, outputs=made) if ops else None


def chosen(graph: Graph, choice: Choice) -> tuple[Unit, ...]:
    """Every operator as it comes, with the same kind of kernels."""
    return lowered(graph, [Segment((op.id,)) for op in graph.ops], choice.flavour, {op.id: choice for op in graph.ops})


def plain_program(graph: Graph, choice: Choice) -> Program:
    """The program of that."""
    schedule = shipped_schedule(graph)
    units = chosen(graph, choice)
    problem, slots = arena_problem(graph, units)
    solution = pack(problem, budget=1)
    assert isinstance(solution, Solution)
    return assembled("calibration", graph, schedule, units, slots, solution)


def counted(program: Program, core: str) -> Iterator[Sample]:
    """The calls of a program with what they took."""
    seen = emulate(program, [noise(program)], machine_of(core), per_step=True)
    for step, instructions, accesses in zip(program.steps, seen.steps, seen.step_accesses, strict=True):
        if not step.is_view:
            a = accesses
            yield step.call, tuple(map(float, (instructions, a.constants, a.arena_reads, a.arena_writes, a.stack)))


def fitted(samples: Sequence[Sample]) -> dict[str, tuple[float, ...]]:
    """What one of each feature takes, in every figure that was counted."""
    rows = [features_of(call) for call, _ in samples]
    names = sorted({name for row in rows for name in row})
    matrix = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    columns = []
    for counts in zip(*(counts for _, counts in samples), strict=True):
        weight = 1 / (np.array(counts) + FEW)
        columns.append(least_squares(matrix * weight[:, None], np.array(counts) * weight))
    return {name: tuple(float(f"{c[k]:.4g}") for c in columns) for k, name in enumerate(names)}


def least_squares(matrix: Array, wanted: Array) -> Array:
    """The x >= 0 for which |matrix x - wanted| is least.

    Source: Lawson and Hanson, Solving Least Squares Problems, chapter 23.
    """
    norms = np.maximum(np.linalg.norm(matrix, axis=0), 1e-30)
    scaled = matrix / norms
    x = np.zeros(len(norms))
    active: list[int] = []
    for _ in range(10 * len(norms)):
        gradient = scaled.T @ (wanted - scaled @ x)
        gradient[active] = -np.inf
        best = int(np.argmax(gradient))
        if gradient[best] <= 1e-9:
            break
        active.append(best)
        while active:
            trial = np.linalg.lstsq(scaled[:, active], wanted, rcond=None)[0]
            if trial.min() > 0:
                x[:] = 0
                x[active] = trial
                break
            old = x[active]
            falling = trial <= 0
            step = float((old[falling] / np.maximum(old[falling] - trial[falling], 1e-30)).min())
            moved = old + step * (trial - old)
            x[:] = 0
            x[active] = np.maximum(moved, 0)
            active = [a for a in active if x[a] > 1e-12]
    result: Array = x / norms
    return result


def table_of(costs: dict[str, Kernels]) -> str:
    """The data file, a line per kernel."""
    cores = []
    for core, kernels in sorted(costs.items()):
        lines = (
            f"   {json.dumps(kernel)}: {json.dumps(kernels[kernel], sort_keys=True)}" for kernel in sorted(kernels)
        )
        cores.append(f"  {json.dumps(core)}: {{\n" + ",\n".join(lines) + "\n  }")
    return f'{{\n "source": {json.dumps(SOURCE)},\n "cores": {{\n' + ",\n".join(cores) + "\n }\n}\n"


def check(paths: Sequence[Path], core: str, *, each: bool) -> None:
    """Print a row per model, and what is true of all steps."""
    columns = ("model", "counted", "predicted", "error", "median of steps", "not measured")
    print(f"\n## {core}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    errors: list[float] = []
    for path in paths:
        try:
            program = compile_model(load(path), flavour=flavour_of(target_named(core)))
            seen = emulate(program, [noise(program)], machine_of(core), per_step=True, memory=False)
        except ThimbleError as error:
            print(f"{path.stem}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        pairs = [
            (step, traffic_of_step(program, step, core), count)
            for step, count in zip(program.steps, seen.steps, strict=True)
            if count and not step.is_view
        ]
        off = [abs(guess.instructions / count - 1) for _, guess, count in pairs]
        errors += off
        total = sum((guess for _, guess, _ in pairs), NOTHING).instructions
        rough = sum(guess.instructions for _, guess, _ in pairs if not guess.measured) / max(total, 1.0)
        wrong = f"{total / seen.instructions - 1:+.1%} | {statistics.median(off):.1%}"
        print(f"| {path.stem} | {seen.instructions:,} | {total:,.0f} | {wrong} | {rough:.1%} |", flush=True)
        for step, guess, count in pairs if each else ():
            ratio = guess.instructions / count - 1
            print(f"    {count:>10,} {guess.instructions:>12,.0f} {ratio:+7.1%} {step.call.kernel}")
    if errors:
        print(f"\n{len(errors)} steps, median error {statistics.median(errors):.1%}.")


def int8_models(folder: Path, only: str) -> Iterator[Path]:
    """Files with quantized tensors, below a size."""
    for path in sorted(folder.glob("*.tflite")):
        small = only in path.stem and path.stat().st_size <= LARGEST
        if small and any(t.dtype in {DType.INT8, DType.UINT8} for t in load(path).main.tensors):
            yield path


def main() -> int:
    """Calibrate, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", action="append", choices=sorted(CORES))
    parser.add_argument("--check", type=Path, metavar="MODELS_DIR")
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--each", action="store_true", help="print every step")
    parser.add_argument("--jobs", type=int, default=1, help="cores that are calibrated at a time")
    given = parser.parse_args()
    cores = given.core or list(CORES)
    if given.check:
        paths = list(int8_models(given.check, given.only))
        for core in cores:
            check(paths, core, each=given.each)
        return 0
    costs: dict[str, Kernels] = {core: {k: dict(c) for k, c in kernels.items()} for core, kernels in tables().items()}
    with ProcessPoolExecutor(given.jobs) as pool:
        for core, found in zip(cores, pool.map(costs_on, cores), strict=True):
            costs[core] = found
            TABLE.write_text(table_of(costs), encoding="utf-8")
            print(f"{core}: {len(found)} kernels", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
