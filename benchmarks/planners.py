# SPDX-License-Identifier: Apache-2.0
"""Offset planners on the same lifetimes in one run: TFLM's greedy one, Vela's hill climbing, and Thimble's.

    python benchmarks/planners.py MODELS_DIR --vela-python PYTHON

Three sets of lifetimes: every model in its shipped order, every model in its best order (both as TFLM counts them on
a Cortex-M4, scratch included), and MiniMalloc's instances where a folder is given with --instances. The peer needs
`pip install ethos-u-vela`, hence its own interpreter. Exit code 1 if Thimble is above a peer anywhere.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import thimble
from thimble.csvio import read_problem
from thimble.memory import Infeasible, Problem
from thimble.pack import pack
from thimble.pipeline import climb
from thimble.target import target_named
from thimble.tflm.dropin import problem_of
from thimble.tflm.planner import Request, greedy

_VELA = """
import json, sys
from types import SimpleNamespace
from ethosu.vela.hillclimb_allocation import HillClimbAllocator
rows = json.load(sys.stdin)
ranges = [
    SimpleNamespace(start_time=a, end_time=b - 1, size=s, get_alignment=lambda alignment=alignment: alignment)
    for s, a, b, alignment in rows
]
allocator = HillClimbAllocator(ranges, 3000, 1 << 60)
addresses = allocator.allocate()
print(max((address + row[0] for address, row in zip(addresses, rows)), default=0))
"""


def vela(python: str | None, problem: Problem, seconds: int) -> int | str:
    """Height of Vela's hill climbing, 3,000 iterations, or why there is none."""
    if python is None:
        return "not given"
    rows = [(b.size, b.lifetime.start, b.lifetime.stop, b.alignment) for b in problem.buffers]
    try:
        done = subprocess.run(
            [python, "-c", _VELA], input=json.dumps(rows), capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"over {seconds} s"
    return (done.stderr.strip().splitlines() or ["failed"])[-1][:40] if done.returncode else int(done.stdout)


def tflm(problem: Problem) -> int:
    """Height of TFLM's greedy planner on these lifetimes."""
    return greedy([Request(b.size, b.lifetime.start, b.lifetime.stop - 1) for b in problem.buffers])[1]


def problems(models: Path, instances: Path | None) -> Iterator[tuple[str, Problem]]:
    """Every set of lifetimes with its name."""
    for path in sorted(models.glob("*.tflite")):
        model = thimble.load(path)
        shipped, reordered, _ = climb(model, target_named("cortex-m4"))
        yield f"{path.stem}, shipped order", problem_of(shipped.allocation)
        if reordered.schedule.order != shipped.schedule.order:
            yield f"{path.stem}, best order", problem_of(reordered.allocation)
    for path in sorted(instances.glob("?.*.csv")) if instances else ():
        yield f"MiniMalloc {path.stem[0]}", read_problem(path).problem


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of .tflite files")
    parser.add_argument("--instances", type=Path, help="folder of MiniMalloc's challenging instances")
    parser.add_argument("--vela-python", help="interpreter with ethos-u-vela")
    parser.add_argument("--seconds", type=int, default=120, help="time limit of the peer per problem")
    args = parser.parse_args()
    print("| lifetimes | buffers | TFLM greedy | Vela hill climbing | Thimble | lower bound | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    worse = 0
    for name, problem in problems(args.models, args.instances):
        solution = pack(problem)
        assert not isinstance(solution, Infeasible)
        peers = (tflm(problem), vela(args.vela_python, problem, args.seconds))
        worse += any(isinstance(peer, int) and peer < solution.height for peer in peers)
        shown = " | ".join(f"{peer:,}" if isinstance(peer, int) else peer for peer in peers)
        proof = "proven least" if solution.proven else "not proven"
        ours = f"{solution.height:,} | {solution.lower_bound:,} | {proof}"
        print(f"| {name} | {len(problem.buffers)} | {shown} | {ours} |", flush=True)
    print(f"\nThimble is above a peer in {worse} of these.")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
