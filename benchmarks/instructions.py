# SPDX-License-Identifier: Apache-2.0
"""Instructions of one inference on emulated processors, beside TFLM with CMSIS-NN and TFLM's reference kernels.

    python benchmarks/instructions.py MODELS_DIR --tflm FOLDER [--only PATTERN]
        [--part all|bars|more|plain|compilers]

Both sides are compiled by the same GCC at -O2 and run on the same input: noise from a fixed seed. One more table has
Thimble's code by clang (PyPI's `ziglang`) beside it. `tflm_build.py` says what FOLDER holds. The models are the five of
the bars and, chosen by a rule and not by their results, all other int8 models below one megabyte that TFLM runs. Tables
go to standard output, progress to standard error. Exit code 1 when outputs differ or code does not compile.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tflm_build import (
    M0,
    M3,
    M4,
    M55,
    MLPERF,
    NAMES,
    RISCV,
    Peer,
    arguments,
    chosen,
    geometric_mean,
    header,
    int8_models,
    measured,
    row,
    same,
    tflm,
)

from thimble.emulate import Measurement
from thimble.errors import ThimbleError
from thimble.pipeline import load

BARS = {M4: dict.fromkeys(MLPERF, 0.5) | {"ad01_int8": 0.75}, M55: dict.fromkeys(MLPERF, 0.75)}
"""Highest ratio to TFLM with CMSIS-NN."""
PLAIN_BAR = 0.4
"""Highest ratio to TFLM's reference kernels on processors without packed arithmetic."""
MEAN_BAR = 0.55
"""Highest geometric mean over the other models on Cortex-M4."""
COMPILERS = {"gcc": None, "clang": "zig"}
"""As `thimble.emulate.emulate` calls them."""
BESIDE = {
    M0: "Code of both sides for a Cortex-M0 runs on the M3's board, for its memory.",
    RISCV: """\
Portable code, without the V and P extensions. V: QEMU 7.2 runs it (1.0) and GCC 12 assembles it, but has no intrinsics
for it and does not use it on its own; it would take kernels in assembly or a later GCC, start-up code that switches V
on, and TFLM built by the same compiler beside it. P: neither QEMU 7.2 nor GCC 12 knows it, it would take two that
do.""",
}
"""What is to be said of a processor's table."""


def table(paths: Sequence[Path], folder: Path, machine: str, kernels: str, bars: dict[str, float]) -> bool:
    """Print one processor's table; whether all outputs were equal."""
    print(f"\n## {NAMES[machine]}, TFLM with {'CMSIS-NN' if kernels == 'cmsis-nn' else 'its reference kernels'}\n")
    print(header("model", "TFLM", "Thimble", "ratio", "bar", "outputs equal"))
    ratios: dict[str, list[float]] = {}
    good, refused = True, []
    for path in paths:
        theirs = _theirs(folder, path, machine, kernels)
        if isinstance(theirs, str):
            refused.append(f"{path.stem} ({theirs})")
            continue
        ours, equal = _ours(path, machine, theirs)
        good = good and equal == "yes"
        if ours is None:
            print(row(path.stem, theirs.instructions, "–", "–", "", equal), flush=True)
            continue
        ratio = ours / theirs.instructions
        ratios.setdefault(group(path), []).append(ratio)
        bar = bars.get(path.stem)
        said = "" if bar is None else f"{bar:.2f} {'met' if ratio <= bar else '**missed**'}"
        print(row(path.stem, theirs.instructions, ours, f"{ratio:.3f}", said, equal), flush=True)
    every = [ratio for group_ratios in ratios.values() for ratio in group_ratios]
    print(f"\nGeometric mean of {len(every)} ratios: {geometric_mean(every):.3f}.")
    for name, some in ratios.items() if len(ratios) > 1 else ():
        print(f"Of the {len(some)} {name}: {geometric_mean(some):.3f}.")
    if refused:
        print(f"Not run by TFLM: {', '.join(refused)}.")
    return good


def group(path: Path) -> str:
    """What kind of model it is."""
    kinds = {op.kind for op in load(path).main.ops}
    recurrent = kinds & {"UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"}
    return "recurrent models (LSTM, SVDF)" if recurrent else "other models"


def compilers(paths: Sequence[Path], folder: Path, machine: str) -> bool:
    """Print Thimble's code by both compilers beside TFLM's by GCC; whether all outputs were equal."""
    print(f"\n## {NAMES[machine]}, Thimble compiled by gcc and clang, TFLM with CMSIS-NN by gcc\n")
    columns = (f"{name}{what}" for name in COMPILERS for what in ("", ", ratio", ", outputs equal"))
    print(header("model", "TFLM", *columns))
    ratios: dict[str, list[float]] = {name: [] for name in COMPILERS}
    good = True
    for path in paths:
        theirs = _theirs(folder, path, machine, "cmsis-nn")
        if isinstance(theirs, str):
            print(row(path.stem, f"({theirs})", *["–"] * 3 * len(COMPILERS)), flush=True)
            continue
        cells: list[str | int] = []
        for name, compiler in COMPILERS.items():
            ours, equal = _ours(path, machine, theirs, compiler)
            good = good and equal == "yes"
            if ours is None:
                cells += ["–", "–", equal]
                continue
            ratios[name].append(ours / theirs.instructions)
            cells += [ours, f"{ratios[name][-1]:.3f}", equal]
        print(row(path.stem, theirs.instructions, *cells), flush=True)
    means = (f"{geometric_mean(found):.3f} by {name} ({len(found)})" for name, found in ratios.items())
    print(f"\nGeometric means of the ratios: {', '.join(means)}.")
    return good


@cache
def _theirs(folder: Path, path: Path, machine: str, kernels: str) -> Peer | str:
    print(f"{path.stem}: TFLM ({kernels}) on {NAMES[machine]}", file=sys.stderr, flush=True)
    return tflm(folder, path, machine, kernels)


def _ours(path: Path, machine: str, theirs: Peer, compiler: str | None = None) -> tuple[int | None, str]:
    """Instructions, and whether the outputs are TFLM's."""
    ours = _measured(path, machine, compiler)
    return (None, ours) if isinstance(ours, str) else (ours.instructions, "yes" if same(ours, theirs) else "**no**")


@cache
def _measured(path: Path, machine: str, compiler: str | None) -> Measurement | str:
    """One inference, or why there is none."""
    print(f"{path.stem}: Thimble ({compiler or 'gcc'}) on {NAMES[machine]}", file=sys.stderr, flush=True)
    try:
        return measured(path, machine, compiler=compiler)[1]
    except ThimbleError as error:
        return f"not compiled: {str(error).splitlines()[0]}"


def main() -> int:
    """Print the tables."""
    parser = arguments(__doc__)
    parser.add_argument("--part", default="all", choices=["all", "bars", "more", "plain", "compilers"])
    given = parser.parse_args()
    five = chosen([given.models / f"{name}.tflite" for name in MLPERF], given.only)
    good = True
    if given.part in {"all", "bars"}:
        for machine in (M4, M55):
            good &= table(five, given.tflm, machine, "cmsis-nn", BARS[machine])
    if given.part in {"all", "more"}:
        more = chosen(int8_models(given.models), given.only)
        for machine in (M4, M55):
            good &= table(more, given.tflm, machine, "cmsis-nn", {})
            print(f"The bar is {MEAN_BAR}." if machine == M4 else "")
    if given.part in {"all", "plain"}:
        for machine in (M4, M0, M3, RISCV):
            bars = dict.fromkeys(MLPERF, PLAIN_BAR) if machine != M4 else {}
            good &= table(five, given.tflm, machine, "reference", bars)
            print(BESIDE.get(machine, ""))
    if given.part in {"all", "compilers"}:
        for machine in (M4, M55):
            good &= compilers(five, given.tflm, machine)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
