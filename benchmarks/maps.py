# SPDX-License-Identifier: Apache-2.0
"""Tensor memory maps beside tflite-tools, operator by operator, on the same files in one run.

    python benchmarks/maps.py MODELS_DIR --peer PATH_TO_A_TFLITE_TOOLS_CHECKOUT --peer-python PYTHON

The peer needs an old flatbuffers (`pip install flatbuffers==1.12 'numpy<2' prettytable`), hence its own
interpreter. Exit code 1 when a figure differs and the difference is not one that the table explains.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import thimble
from thimble.errors import ThimbleError
from thimble.ir import Graph
from thimble.mapping import MemoryMap

_PEER = """
import json, sys
sys.path.insert(0, sys.argv[1])
sys.setrecursionlimit(100000)
from tflite_tools.tflite_model import TFLiteModel
model = TFLiteModel.load_from_file(sys.argv[2])
print(json.dumps([int(row[2]) for row in model._execution_schedule_info()]))
"""


def peer_totals(python: str, checkout: str, model: Path, seconds: int) -> list[int] | str:
    """Bytes per operator by the peer, or why it has none."""
    try:
        done = subprocess.run(
            [python, "-c", _PEER, checkout, str(model)], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {seconds} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1][:60]
    return [int(n) for n in json.loads(done.stdout)]


def as_peer_counts(memory: MemoryMap) -> list[int]:
    """Our map under the peer's rules for what nobody reads.

    The peer frees a model output after its last reader, keeps a result that nobody reads to the end, and an
    unused input likewise. Thimble keeps outputs to the end and dead results for one step, as TFLM does.
    """
    graph: Graph = memory.graph
    steps = len(memory.operators)
    last = {t: op.id for op in graph.ops for t in op.inputs if t is not None}
    totals = [0] * steps
    for tensor, life in memory.lifetimes:
        for step in range(life.start, last.get(tensor, steps - 1) + 1):
            totals[step] += graph.tensors[tensor].nbytes
    return totals


def compare(model: Path, peer: list[int] | str) -> tuple[str, bool]:
    """One row of the table, and whether it is as it should be."""
    loaded = thimble.load(model)
    memory = thimble.memory_map(loaded)
    ours = [row.total_bytes for row in memory.operators]
    head = f"| {model.stem} | {len(ours)} | {memory.peak_bytes:,} |"
    if isinstance(peer, str):
        return f"{head} – | {peer} |", True
    if peer == ours:
        return f"{head} {max(peer):,} | equal at all operators |", True
    if peer == as_peer_counts(memory):
        return f"{head} {max(peer):,} | equal once outputs and dead results are counted as the peer does |", True
    differ = sum(a != b for a, b in zip(ours, peer, strict=False))
    if any("placeholders" in notice for notice in loaded.notices):
        why = "where the file's dynamic shapes are placeholders (docs/decisions/0002-dynamic-shapes.md)"
        return f"{head} {max(peer):,} | {differ} operators differ, {why} |", True
    return f"{head} {max(peer):,} | **{differ} operators differ** |", False


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of .tflite files")
    parser.add_argument("--peer", required=True, help="a checkout of eliberis/tflite-tools")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with the peer's dependencies")
    parser.add_argument("--seconds", type=int, default=60, help="time limit of the peer per model")
    args = parser.parse_args()
    print("| model | operators | Thimble peak | tflite-tools peak | per operator |\n|---|---:|---:|---:|---|")
    good = True
    for model in sorted(args.models.glob("*.tflite")):
        try:
            row, fine = compare(model, peer_totals(args.peer_python, args.peer, model, args.seconds))
        except ThimbleError as error:
            row, fine = f"| {model.stem} | – | {error} |", False
        print(row, flush=True)
        good = good and fine
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
