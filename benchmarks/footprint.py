# SPDX-License-Identifier: Apache-2.0
"""RAM, code and constants of compiled models, beside TFLM with CMSIS-NN, at rung 2.

    python benchmarks/footprint.py MODELS_DIR --tflm FOLDER [--only PATTERN] [--rung 2] [--more]

RAM is arena, statics and stack; TFLM's arena is what its interpreter reports as used. Stack is measured on both sides
while everything runs (initialization and one inference on noise). Code is what the linker keeps of it, with the
constants that belong to code and with the C library's part, without weights. `tflm_build.py` says what FOLDER holds.
Where a bar is missed, the line below the table says which bytes are in the way. Exit code 1 when outputs differ.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_build import (
    M4,
    M55,
    MLPERF,
    NAMES,
    Peer,
    arguments,
    chosen,
    compiled,
    geometric_mean,
    header,
    int8_models,
    noise,
    row,
    same,
    tflm,
)

from thimble.emit import constants_of
from thimble.emulate import Measurement, emulate
from thimble.errors import ThimbleError
from thimble.ir import Kind
from thimble.lifetime import lifetimes, live_sums
from thimble.pipeline import load
from thimble.program import Program

RAM_BAR, CODE_BAR = 0.75, 0.5
"""Highest ratios to TFLM."""


@dataclass(frozen=True)
class Ours:
    """What a compiled model takes, in bytes; `constants` are weights, tables and parameters per channel.

    `text` is the bundle's instructions alone, `code` those with the parameters of its calls and the C library's part.
    """

    arena: int
    statics: int
    stack: int
    stack_bound: int | None
    text: int
    code: int
    constants: int

    @property
    def ram(self) -> int:
        return self.arena + self.statics + self.stack


def ours_of(program: Program, measurement: Measurement) -> Ours:
    """The figures of one program."""
    sizes = measurement.footprint
    constants = sum(len(constant.data) for constant in constants_of(program).values())
    return Ours(
        arena=program.arena_bytes,
        statics=sizes.static_bytes,
        stack=measurement.stack_bytes,
        stack_bound=measurement.stack_bound,
        text=sizes.text,
        code=sizes.text + max(0, sizes.rodata - constants) + sum(sizes.library[:3]) + sizes.data,
        constants=constants,
    )


def why_ram(program: Program, ours: Ours, theirs: Peer) -> str:
    """Which bytes are in the way of the RAM bar."""
    graph, order = program.graph, program.schedule.order
    sizes = [(life, graph.tensors[tensor].nbytes) for tensor, life in lifetimes(graph, program.schedule).items()]
    sums = live_sums(sizes, len(order))
    most = max(sums, default=0)
    where = graph.ops[order[sums.index(most)]].label if sums else "-"
    scratch = max((step.call.scratch for step in program.steps), default=0)
    allowed = int(RAM_BAR * theirs.ram)
    live = (
        f"alive at once at {where}: {most:,} bytes; arena {ours.arena:,} (largest work space {scratch:,}), statics "
        f"{ours.statics:,}, stack {ours.stack:,}"
    )
    if most > allowed:
        return f"{live}; the live tensors alone exceed the {allowed:,} allowed: needs rung 3 or higher"
    return f"{live}; {ours.ram - allowed:,} above the {allowed:,} allowed"


def why_constants(program: Program, ours: Ours) -> str:
    """What the constants are besides the weights."""
    graph = program.graph
    weighted = [op for op in graph.ops if op.attrs.macs(graph.operands(op), graph.results(op))]
    filters = {index for op in weighted for index in op.inputs if index is not None}
    stored = [graph.tensors[index] for index in filters if graph.tensors[index].kind is Kind.CONSTANT]
    weights = sum(tensor.nbytes for tensor in stored if tensor.dtype.bits <= 8)
    channels = sum(graph.results(op)[0].shape[-1] for op in weighted)
    rest = ours.constants - weights
    return (
        f"constants {ours.constants:,} are {weights:,} of weights and {rest:,} of biases, multipliers, padding and "
        f"tables, {rest / max(1, channels):.1f} bytes for each of {channels:,} output channels"
    )


def verdict(ours: int, theirs: int, bar: float) -> str:
    """The ratio, and whether the bar is met."""
    ratio = ours / theirs
    return f"{ratio:.3f}" if ratio <= bar else f"**{ratio:.3f}**"


def table(paths: Sequence[Path], folder: Path, machine: str, rung: int) -> bool:
    """Print one processor's tables; whether all outputs were equal."""
    print(f"\n## {NAMES[machine]}\n")
    print(
        header(
            *("model", "TFLM arena", "statics", "stack", "RAM", "Thimble arena", "statics", "stack (bound)", "RAM"),
            *("ratio", "TFLM code", "Thimble code (instructions)", "ratio", "constants", "file"),
        )
    )
    good, rams, codes, missed = True, [], [], []
    for path in paths:
        theirs = tflm(folder, path, machine, "cmsis-nn")
        if isinstance(theirs, str):
            missed.append(f"* {path.stem}: not run by TFLM: {theirs}")
            continue
        try:
            program = compiled(path, machine, rung)
            measurement = emulate(program, [noise(load(path))], machine)
        except ThimbleError as error:
            missed.append(f"* {path.stem}: {str(error).splitlines()[0]}")
            continue
        ours = ours_of(program, measurement)
        if not same(measurement, theirs):
            good = False
            missed.append(f"* {path.stem}: **outputs differ**")
        rams.append(ours.ram / theirs.ram)
        codes.append(ours.code / theirs.text)
        print(_line(path, ours, theirs), flush=True)
        missed += _misses(path, program, ours, theirs)
    print(
        f"\nGeometric means over {len(rams)} models: RAM {geometric_mean(rams):.3f}, code {geometric_mean(codes):.3f}."
    )
    print("\n".join(missed))
    return good


def _line(path: Path, ours: Ours, theirs: Peer) -> str:
    file = path.stat().st_size
    constants = f"{ours.constants:,}" if ours.constants <= file else f"**{ours.constants:,}**"
    bound = "–" if ours.stack_bound is None else f"{ours.stack_bound:,}"
    return row(
        *(path.stem, theirs.arena_used, theirs.data + theirs.bss, theirs.stack, theirs.ram),
        *(ours.arena, ours.statics, f"{ours.stack:,} ({bound})", ours.ram, verdict(ours.ram, theirs.ram, RAM_BAR)),
        *(theirs.text, f"{ours.code:,} ({ours.text:,})", verdict(ours.code, theirs.text, CODE_BAR), constants, file),
    )


def _misses(path: Path, program: Program, ours: Ours, theirs: Peer) -> list[str]:
    said = []
    if ours.ram > RAM_BAR * theirs.ram:
        said.append(f"* {path.stem}, RAM: {why_ram(program, ours, theirs)}")
    if ours.code > CODE_BAR * theirs.text:
        kernels = len({step.call.kernel for step in program.steps})
        said.append(
            f"* {path.stem}, code: {ours.text:,} bytes of instructions in {kernels} kernels and {len(program.steps)} "
            f"calls, {ours.code - ours.text:,} of parameters and library; {int(CODE_BAR * theirs.text):,} allowed"
        )
    if ours.constants > path.stat().st_size:
        said.append(f"* {path.stem}: {why_constants(program, ours)}; the file has {path.stat().st_size:,}")
    return said


def main() -> int:
    """Print the tables."""
    parser = arguments(__doc__)
    parser.add_argument("--rung", type=int, default=2)
    parser.add_argument("--more", action="store_true", help="the other int8 models below one megabyte as well")
    given = parser.parse_args()
    paths = [given.models / f"{name}.tflite" for name in MLPERF]
    paths = chosen(paths + (int8_models(given.models) if given.more else []), given.only)
    print(f"Bars: RAM {RAM_BAR} of TFLM's, code {CODE_BAR}, constants no larger than the file. Bold: missed.")
    good = all(table(paths, given.tflm, machine, given.rung) for machine in (M4, M55))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
