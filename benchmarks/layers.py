# SPDX-License-Identifier: Apache-2.0
"""Instructions per multiply-accumulate of each kind of layer, beside CMSIS-NN, and the distance to the core's limit.

    python benchmarks/layers.py MODELS_DIR --tflm FOLDER [--only PATTERN] [--each]

Layers are those of the five models, in their place, on noise; TFLM's figures are those of its operators with CMSIS-NN
(`tflm_build.py` says what FOLDER holds). The limit is what the multiplications alone take: a Cortex-M4 has two in an
instruction (SMLAD), Helium sixteen. The second table says which instructions are executed, per multiply-accumulate.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from instruction_mix import CLASSES, REST, instruction_mix
from tflm_build import M4, M55, MLPERF, NAMES, arguments, chosen, header, measured, noise, row, tflm

from thimble.ir import Graph, Op
from thimble.pipeline import load

LIMITS = {M4: 1 / 2, M55: 1 / 16}
KINDS = ("pointwise", "3x3", "depthwise", "fully connected", "first layer", "other convolution")


@dataclass
class Sum:
    """All layers of a kind."""

    layers: int = 0
    macs: int = 0
    outputs: int = 0
    ours: int = 0
    theirs: int = 0
    mix: Counter[str] = field(default_factory=Counter)

    def add(self, other: Sum) -> None:
        self.layers += other.layers
        self.macs += other.macs
        self.outputs += other.outputs
        self.ours += other.ours
        self.theirs += other.theirs
        self.mix += other.mix


def kind_of(graph: Graph, op: Op) -> str | None:
    """The kind of layer, or None for an operator without weights."""
    if op.kind == "FULLY_CONNECTED":
        return "fully connected"
    if op.kind not in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
        return None
    if not _computed(graph, op):
        return "first layer"
    weights = graph.operands(op)[1]
    if op.kind == "DEPTHWISE_CONV_2D" or weights is None:
        return "depthwise"
    _, height, width, _ = weights.shape
    return {(1, 1): "pointwise", (3, 3): "3x3"}.get((height, width), "other convolution")


def _computed(graph: Graph, op: Op) -> bool:
    """Whether the operator's input comes from another that computes, not only from the model's input."""
    read = op.inputs[0]
    for earlier in graph.ops:
        if read in earlier.outputs:
            return earlier.kind not in {"RESHAPE", "QUANTIZE"} or _computed(graph, earlier)
    return False


def layers_of(path: Path, machine: str, folder: Path) -> Iterator[tuple[str, str, Sum]]:
    """Kind, name and figures of each layer with weights."""
    theirs = tflm(folder, path, machine, "cmsis-nn", nodes=True)
    if isinstance(theirs, str):
        print(f"{path.stem}: not run by TFLM: {theirs}", file=sys.stderr)
        return
    program, ours = measured(path, machine, per_step=True)
    mixes = instruction_mix(program, noise(load(path)), machine)
    counts: dict[int, int] = defaultdict(int)
    mix: dict[int, Counter[str]] = defaultdict(Counter)
    for step, instructions, executed in zip(program.steps, ours.steps, mixes, strict=True):
        index = program.graph.ops[step.op].source.index
        counts[index] += instructions
        mix[index] += executed
    graph = load(path).main
    for op, node in zip(graph.ops, theirs.nodes, strict=True):
        kind = kind_of(graph, op)
        if kind is not None:
            macs = op.attrs.macs(graph.operands(op), graph.results(op))
            outputs = sum(tensor.elements for tensor in graph.results(op))
            index = op.source.index
            yield kind, f"{path.stem} {index}", Sum(1, macs, outputs, counts[index], node, mix[index])


def table(machine: str, paths: Sequence[Path], folder: Path, each: bool) -> None:
    """Print one processor's tables."""
    sums = {kind: Sum() for kind in KINDS}
    rows = []
    for path in paths:
        for kind, name, figures in layers_of(path, machine, folder):
            sums[kind].add(figures)
            rows.append((f"{kind}: {name}", figures))
    found = [(kind, figures) for kind, figures in sums.items() if figures.layers]
    print(f"\n## {NAMES[machine]}, limit {LIMITS[machine]:.4g} instructions per multiply-accumulate\n")
    names = ("layers", "MACs", "MACs per output", "CMSIS-NN per MAC", "Thimble per MAC", "ratio", "times the limit")
    print(header("kind", *names))
    for name, figures in found + (rows if each else []):
        print(_line(name, figures, LIMITS[machine]))
    print(f"\nInstructions per multiply-accumulate by class, {NAMES[machine]}:\n")
    classes = (*CLASSES, REST)
    print(header("kind", *classes))
    for name, figures in found:
        print(row(name, *(f"{figures.mix[each_class] / figures.macs:.3f}" for each_class in classes)))


def _line(name: str, figures: Sum, limit: float) -> str:
    ours, theirs = figures.ours / figures.macs, figures.theirs / figures.macs
    cells = (f"{figures.macs / figures.outputs:.0f}", f"{theirs:.3f}", f"{ours:.3f}")
    return row(name, figures.layers, figures.macs, *cells, f"{ours / theirs:.3f}", f"{ours / limit:.2f}")


def main() -> None:
    """Print the tables."""
    parser = arguments(__doc__)
    parser.add_argument("--each", action="store_true", help="every layer as well")
    given = parser.parse_args()
    paths = chosen([given.models / f"{name}.tflite" for name in MLPERF], given.only)
    for machine in (M4, M55):
        table(machine, paths, given.tflm, given.each)


if __name__ == "__main__":
    main()
