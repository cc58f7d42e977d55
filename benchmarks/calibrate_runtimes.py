# SPDX-License-Identifier: Apache-2.0
"""TFLM's instructions per kind of layer, for `costs/runtimes.toml`, from an emulated build of it.

    python benchmarks/calibrate_runtimes.py MODELS_DIR --tflm DIR [--only PATTERN] [--sets SET..]

Per kind of layer and kernel set: instructions = sum of what a layer has (`runtimes.counts_of`) x what one of each
takes, none negative, of least squared relative error over the layers of all models below a megabyte.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tflm_build import M0, M3, M4, M55, MLPERF, RISCV, Peer, arguments, chosen, int8_models, tflm

from thimble.pipeline import load
from thimble.runtimes import counts_of, kind_of

SETS = {
    "cmsis-nn-dsp": (M4, "cmsis-nn"),
    "cmsis-nn-mve": (M55, "cmsis-nn"),
    "reference-m4": (M4, "reference"),
    "reference-m3": (M3, "reference"),
    "reference-m0": (M0, "reference"),
    "reference-riscv32": (RISCV, "reference"),
}
TERMS = {
    "convolution": ("mac", "output", "gathered", "call"),
    "pointwise": ("mac", "output", "gathered", "call"),
    "depthwise": ("mac", "output", "call"),
    "fully-connected": ("mac", "output", "call"),
    "pool": ("input", "output", "call"),
    "elementwise": ("output", "call"),
    "other": ("mac", "input", "output", "call"),
}
REFERENCE = {**TERMS, "convolution": ("mac", "tap", "output", "call"), "pointwise": ("mac", "output", "call")}
"""CMSIS-NN gathers windows before it multiplies, the reference kernels visit them cell by cell."""
RARE = ("pool", "elementwise", "other")
"""Kinds of many operators: the relative error of small ones counts for less."""
Vector = npt.NDArray[np.float64]
Layer = tuple[str, dict[str, float], float]


def layers(models: Sequence[Path], folder: Path, machine: str, kernels: str) -> Iterator[Layer]:
    """Kind, counts and instructions of every layer that TFLM runs."""
    for path in models:
        found = tflm(folder, path, machine, kernels, nodes=True)
        graph = load(path).main
        if isinstance(found, Peer) and len(found.nodes) == len(graph.ops):  # else control flow ran other graphs
            for op, instructions in zip(graph.ops, found.nodes, strict=True):
                if op.kind != "RESHAPE":
                    yield kind_of(graph, op), dict(counts_of(graph, op)), float(instructions)


def non_negative(counts: Vector, wanted: Vector, weights: Vector) -> Vector:
    """Least squares without negative coefficients: the most negative is left out until none is."""
    columns = list(range(counts.shape[1]))
    while True:
        solution = np.linalg.lstsq(counts[:, columns] * weights[:, None], wanted * weights, rcond=None)[0]
        if len(columns) == 1 or solution.min() >= 0:
            break
        columns.pop(int(solution.argmin()))
    found = np.zeros(counts.shape[1])
    found[columns] = np.maximum(solution, 0)
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sets", nargs="*", choices=SETS, default=list(SETS), help="which sets of kernels")
    options = parser.parse_args()
    models = chosen([options.models / f"{name}.tflite" for name in MLPERF], options.only)
    models += chosen(int8_models(options.models), options.only)
    for name in options.sets:
        machine, kernels = SETS[name]
        found = defaultdict(list)
        for kind, counts, instructions in layers(models, options.tflm, machine, kernels):
            found[kind].append((counts, instructions))
        for kind, terms in (REFERENCE if kernels == "reference" else TERMS).items():
            if not found[kind]:
                continue
            matrix = np.array([[counts[term] for term in terms] for counts, _ in found[kind]])
            wanted = np.array([instructions for _, instructions in found[kind]])
            costs = non_negative(matrix, wanted, 1 / (wanted + (np.median(wanted) if kind in RARE else 0)))
            error = statistics.median(abs(matrix @ costs / wanted - 1))
            print(f"\n# {len(wanted)} layers, median error {100 * error:.1f} %\n[instructions.{name}.{kind}]")
            for term, cost in zip(terms, costs, strict=True):
                if cost > 1e-3:
                    print(f"{term} = {cost:.5g}")


if __name__ == "__main__":
    main()
