# SPDX-License-Identifier: Apache-2.0
"""Arenas of compiled code on rungs 0 to 6, and what they cost.

    python benchmarks/rungs.py MODELS [--only bars,nine,merge,time] [--figure FILE.png]

bars   the MLPerf Tiny models, person_detect and two for ImageNet; instructions of the small ones from the emulator
nine   the nine models of Sudharsan et al. (`benchmarks/nine.py`), beside the paper's percentages
merge  rung 3 over rung 2, the median over all models in MODELS and the zoo, beside CEVA's 15 to 35 %
time   planning a network of 150 operators on all rungs

All code is for Armv7E-M with the default choice of kernels; rung 6 executes at most 1.15 times the
multiply-accumulates. The input is counted everywhere, and outputs of all rungs on the emulator must be the same.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nine import NINE

from thimble import zoo
from thimble.compile import HIGHEST_RUNG, compile_model
from thimble.emulate import emulate
from thimble.errors import ThimbleError
from thimble.host import interface_of
from thimble.inference import arrays_for
from thimble.ir import Activation, Model
from thimble.kernel import Flavour
from thimble.pipeline import load
from thimble.program import Program
from thimble.zoo.builder import Builder

RUNGS = range(HIGHEST_RUNG + 1)
EMULATED = ("kws_ref_model_int8", "vww_96_int8", "pretrainedResnet_quant", "ad01_int8", "person_detect")
IMAGENET = ("mobilenet_v2_1.0_224_quant", "mcunet-320kb-1mb_imagenet")
MACHINE = "mps2-an386"
OPERATORS = 150
PAPER = {"DenseNet": "-38.06 %"}
"""The paper's largest saving; of its smallest, -1.61 %, and those between it gives no bytes of the same graphs."""
HEADS = " | ".join(f"rung {rung}" for rung in RUNGS)


def program(model: Model, rung: int) -> Program:
    """A rung as code for a Cortex-M4."""
    return compile_model(model, flavour=Flavour.DSP, rung=rung)


def change(new: float, old: float) -> str:
    """In per cent."""
    return f"{100 * (new / old - 1):+.1f} %"


def extra(found: Program) -> str:
    """Multiply-accumulates relative to the model's."""
    return f"{found.macs / max(1, found.graph.macs()):.3f}x"


def bars(models: Path) -> Iterator[str]:
    """Arenas, then instructions, per rung."""
    yield f"| model | {HEADS} | MACs on rung 6 |"
    yield "|---|" + "---:|" * (len(RUNGS) + 1)
    counts = []
    for name in (*EMULATED, *IMAGENET):
        path = models / f"{name}.tflite"
        if not path.is_file():
            print(f"{path} is missing", file=sys.stderr)
            continue
        model = load(path)
        built = [program(model, rung) for rung in RUNGS]
        yield f"| {name} | " + " | ".join(f"{p.arena_bytes:,}" for p in built) + f" | {extra(built[-1])} |"
        if name in EMULATED:
            counts.append(_instructions(name, built))
    yield f"\n| instructions, Cortex-M4 | {HEADS} | rung 5 over rung 2 |"
    yield "|---|" + "---:|" * (len(RUNGS) + 1)
    yield from counts


def _instructions(name: str, built: Sequence[Program]) -> str:
    """Instructions of one inference on each rung, all with the same outputs."""
    inputs = arrays_for(interface_of(built[0]).inputs, ())
    runs = [emulate(one, [inputs], MACHINE, memory=False) for one in built]
    for run in runs:
        same = all(a.tobytes() == b.tobytes() for a, b in zip(run.outputs[0], runs[0].outputs[0], strict=True))
        assert same, f"{name}: other outputs than on rung 0"
    counts = [run.instructions for run in runs]
    return f"| {name} | " + " | ".join(f"{count:,}" for count in counts) + f" | {counts[5] / counts[2]:.3f}x |"


def nine(_: Path, figure: Path | None = None) -> Iterator[str]:
    """Arenas per rung, and what the paper says."""
    yield f"| model | operators | {HEADS} | rung {HIGHEST_RUNG} over 0 | MACs on rung 6 | paper |"
    yield "|---|---:|" + "---:|" * (len(RUNGS) + 3)
    shares: dict[str, list[float]] = {}
    for title, name in NINE:
        model = zoo.build(name)
        built = [program(model, rung) for rung in RUNGS]
        arenas = [one.arena_bytes for one in built]
        shares[title] = [100 * arena / arenas[0] for arena in arenas]
        cells = " | ".join(f"{arena:,}" for arena in arenas)
        last = f"{change(arenas[-1], arenas[0])} | {extra(built[-1])} | {PAPER.get(title, '')}"
        yield f"| {title} | {len(model.main.ops)} | {cells} | {last} |"
    if figure is not None:
        _draw(shares, figure)


def _draw(shares: dict[str, list[float]], path: Path) -> None:
    """A group of bars per model, one per rung, in per cent of rung 0; the paper's saving for DenseNet as a line."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.add_subplot()
    wide = 0.8 / len(RUNGS)
    for rung in RUNGS:
        places = [place + (rung - (len(RUNGS) - 1) / 2) * wide for place in range(len(shares))]
        colour = colormaps["viridis"](0.95 - 0.9 * rung / HIGHEST_RUNG)
        axes.bar(places, [values[rung] for values in shares.values()], wide, color=colour, label=f"rung {rung}")
    axes.axhline(100 - 38.06, color="firebrick", linewidth=0.9, linestyle="--", label="paper, DenseNet: -38.06 %")
    axes.set_xticks(range(len(shares)), list(shares), fontsize=8)
    axes.set_ylabel("arena, % of rung 0")
    axes.legend(fontsize=7, ncols=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, columnspacing=0.8)
    figure.savefig(path, dpi=80)


def merge(models: Path) -> Iterator[str]:
    """The median of what rung 3 saves over rung 2."""
    saved: dict[str, float] = {}
    sources: list[tuple[str, Callable[[], Model]]] = [(n, lambda n=n: zoo.build(n)) for n in zoo.names()]
    sources += [(p.stem, lambda p=p: load(p)) for p in sorted(models.glob("*.tflite"))]
    for name, source in sources:
        try:
            model = source()
            two, three = (program(model, rung).arena_bytes for rung in (2, 3))
        except ThimbleError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        saved[name] = 1 - three / max(1, two)
    gains = [value for value in saved.values() if value > 0]
    yield "| models | median | gain | median of these | most | CEVA |"
    yield "|---:|---:|---:|---:|---:|---:|"
    medians = f"{statistics.median(saved.values()):.1%} | {len(gains)} | {statistics.median(gains):.1%}"
    yield f"| {len(saved)} | {medians} | {max(gains):.1%} | 15-35 % |"
    yield "\n| model | rung 3 over rung 2 |\n|---|---:|"
    for name in sorted(saved, key=lambda name: -saved[name]):
        if saved[name] > 0:
            yield f"| {name} | {-saved[name]:+.1%} |"


def inverted_residuals(operators: int) -> Model:
    """Inverted residuals, one behind the other, on a small image."""
    build = Builder("inverted_residuals", 1)
    start = build.input((1, 96, 96, 3))
    x = build.conv(start, 16, 3, 2, activation=Activation.RELU6)
    while len(build.ops) < operators - 3:
        grow = len(build.ops) % 40 == 1 and x.shape[1] > 6
        y = build.conv(x, 6 * x.channels, activation=Activation.RELU6)
        y = build.depthwise(y, 3, 2 if grow else 1, activation=Activation.RELU6)
        x = build.conv(y, x.channels + 8) if grow else build.add(build.conv(y, x.channels), x)
    return build.model([start], [build.classify(build.mean(x), 10)])


def seconds(_: Path) -> Iterator[str]:
    """Planning time per rung."""
    model = inverted_residuals(OPERATORS)
    yield f"| {len(model.main.ops)} operators | {HEADS} | all |"
    yield "|---|" + "---:|" * (len(RUNGS) + 1)
    times, arenas = [], []
    for rung in RUNGS:
        start = time.process_time()
        arenas.append(program(model, rung).arena_bytes)
        times.append(time.process_time() - start)
    yield "| CPU seconds | " + " | ".join(f"{one:.1f}" for one in (*times, sum(times))) + " |"
    yield "| arena | " + " | ".join(f"{one:,}" for one in arenas) + " | |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Arenas on rungs 0 to 6, and what they cost.")
    parser.add_argument("models", type=Path)
    parser.add_argument("--only", default="time,bars,merge,nine")
    parser.add_argument("--figure", type=Path, default=None)
    options = parser.parse_args()
    tables: dict[str, Callable[[Path], Iterator[str]]] = {
        "bars": bars,
        "nine": lambda models: nine(models, options.figure),
        "merge": merge,
        "time": seconds,
    }
    for name in options.only.split(","):
        for line in tables[name](options.models):
            print(line, flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()
