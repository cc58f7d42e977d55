# SPDX-License-Identifier: Apache-2.0
"""Seconds of whole commands, start-up included: `thimble --help`, and `thimble map` on every model of a folder.

    python benchmarks/speed.py MODELS_DIR [--runs 5]

There is no peer in this table; the bars are 0.3 s for --help, 1 s for a model of 100 operators, 3 s for the largest.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import thimble

_COMMAND = [sys.executable, "-c", "from thimble.commands.main import run; run()"]


def seconds(words: list[str], runs: int) -> list[float]:
    """Wall-clock seconds of each run, sorted, after one that does not count."""
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([*_COMMAND, *words], capture_output=True, check=True)
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])


def row(what: str, operators: str, taken: list[float]) -> str:
    """One row of the table."""
    return f"| {what} | {operators} | {taken[0]:.2f} | {statistics.median(taken):.2f} | {taken[-1]:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of .tflite files")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each command")
    args = parser.parse_args()
    print("| command | operators | least | median | most |\n|---|---:|---:|---:|---:|")
    print(row("--help", "", seconds(["--help"], args.runs)))
    for model in sorted(args.models.glob("*.tflite")):
        count = f"{len(thimble.load(model).main.ops):,}"
        print(row(f"map {model.stem}", count, seconds(["map", str(model), "--json"], args.runs)), flush=True)


if __name__ == "__main__":
    main()
