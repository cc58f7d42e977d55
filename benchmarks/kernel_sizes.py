# SPDX-License-Identifier: Apache-2.0
"""Bytes of code of every kernel, as `thimble compile --optimize size` compares them.

    python benchmarks/kernel_sizes.py [MODEL.tflite ...] > src/thimble/costs/code.toml

The smallest model of each operator, the networks of the zoo and the models given are compiled with -Os, with every
choice of kernels, for Cortex-M4, and for Cortex-M55 where kernels use Helium. Per kernel the table has the bytes of one
copy for all calls (THIMBLE_SHARE_KERNELS, with the functions that it calls, from a
program without other kernels where there is one) and the mean of a copy for one call.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from thimble import zoo
from thimble.bundle import SHARE
from thimble.choose import level, levels, problem_of, variants
from thimble.emit import emit
from thimble.emulation.machines import machine_named
from thimble.emulation.toolchain import checked, toolchain
from thimble.errors import UnsupportedOperatorError
from thimble.host import write_files
from thimble.ir import Model
from thimble.kernel import Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled
from thimble.memory import Solution
from thimble.ops import OPERATORS
from thimble.pack import pack
from thimble.pipeline import load
from thimble.probes import TYPES, model_of
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.streaming import Segment

FLAVOURS = {Flavour.PORTABLE: "mps2-an386", Flavour.DSP: "mps2-an386", Flavour.MVE: "mps3-an547"}
NETWORKS = ("ds_cnn", "resnet_8", "mobilenet_v1", "autoencoder")


def models(paths: list[str]) -> Iterator[Model]:
    """All models to be measured."""
    probes = (model_of(kind, dtype) for kind in OPERATORS for dtype in TYPES)
    yield from (made for made in probes if made is not None)
    yield from (zoo.build(name) for name in NETWORKS if name in zoo.names())
    yield from map(load, paths)


def programs(model: Model, flavour: Flavour) -> Iterator[Program]:
    """The model with every choice of kernels; none if it cannot be compiled."""
    try:
        graph = compilable(model)
        schedule = shipped_schedule(graph)
        table = variants(graph, [Segment((op,)) for op in schedule.order], flavour)
    except UnsupportedOperatorError:
        return
    for number in levels(table):
        units = level(table, number)
        problem, slots = problem_of(graph, units, keep_inputs=False, rung=2)
        solution = pack(problem, budget=0)
        assert isinstance(solution, Solution)
        yield assembled("net", graph, schedule, units, slots, solution)


def sizes(program: Program, machine: str, flags: tuple[str, ...]) -> dict[str, int]:
    """Bytes of every function."""
    tools = toolchain(machine_named(machine))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, emit(program, weights=False))
        checked([*tools.bundle, *flags, "-c", "net.c", "-o", "net.o"], folder, "the compiler refuses the code")
        command = [f"{tools.binutils}nm", "-S", "net.o"]
        listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    fields = (line.split() for line in listed.splitlines())
    return {parts[3]: int(parts[1], 16) for parts in fields if len(parts) == 4 and parts[2] in "tT"}


def _alone(functions: dict[str, int]) -> int:
    """Bytes of the functions that are not of the network itself."""
    return sum(size for name, size in functions.items() if not name.startswith(("step_", "net_")))


def main() -> int:
    """Print the table."""
    shared: dict[str, dict[int, list[int]]] = {}  # per kernel and number of kernels in a program
    apart: dict[str, list[int]] = {}
    seen: set[str] = set()
    large = {*NETWORKS, *(Path(path).stem for path in sys.argv[1:])}
    for model in models(sys.argv[1:]):
        for flavour, machine in FLAVOURS.items():
            for program in programs(model, flavour):
                kernels = {step.call.kernel for step in program.steps}
                if kernels <= seen and model.name not in large:
                    continue
                seen |= kernels
                found = sizes(program, machine, ("-Os", SHARE))
                for kernel in sorted(kernels):
                    others = sum(found.get(f"thimble_{other}", 0) for other in kernels - {kernel})
                    shared.setdefault(kernel, {}).setdefault(len(kernels), []).append(_alone(found) - others)
                found = sizes(program, machine, ("-Os",))
                for number, step in enumerate(program.steps):
                    apart.setdefault(step.call.kernel, []).append(found.get(f"step_{number}", 0))
        print(model.name, len(seen), file=sys.stderr, flush=True)
    print("# SPDX-License-Identifier: Apache-2.0")
    print("# Bytes of code per kernel: one copy for all calls, and a copy for one call. benchmarks/kernel_sizes.py")
    for kernel in sorted(shared):
        fewest = shared[kernel][min(shared[kernel])]
        print(f"{kernel} = [{max(fewest)}, {round(mean(apart[kernel]))}]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
