# SPDX-License-Identifier: Apache-2.0
"""MiniMalloc's challenging instances: CPU seconds of both programs, whole processes, in one run.

    python benchmarks/offsets.py INSTANCES_DIR [--peer PATH_TO_MINIMALLOC] [--capacity 1048576]

Each instance is given to `thimble pack` and, where its binary is given, to MiniMalloc. Every answer is read back and
checked here, by a program of a few lines that shares nothing with either. Thimble is timed twice: the command with
its start-up, and the search alone as it reports it. Exit code 1 when an instance is not solved.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_THIMBLE = [sys.executable, "-c", "from thimble.commands.main import run; run()"]


def cpu_seconds(command: list[str]) -> tuple[float, str]:
    """User and system seconds of one process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def rows_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Start, stop, size and offset (-1 without one) of each buffer."""
    with path.open() as file:
        return {
            r["id"]: (int(r["lower"]), int(r["upper"]), int(r["size"]), int(r.get("offset", -1)))
            for r in csv.DictReader(file)
        }


def height(problem: Path, placed: Path) -> int | None:
    """Height of a placement; None if a buffer is moved or missing, or two share bytes while both live."""
    if not placed.exists():
        return None
    want, have = rows_of(problem), rows_of(placed)
    if {n: row[:3] for n, row in have.items()} != {n: row[:3] for n, row in want.items()}:
        return None
    if min(row[3] for row in have.values()) < 0:
        return None
    rows = list(have.values())
    for i, (start, stop, size, offset) in enumerate(rows):
        for start2, stop2, size2, offset2 in rows[:i]:
            if start < stop2 and start2 < stop and offset < offset2 + size2 and offset2 < offset + size:
                return None
    return max(offset + size for _, _, size, offset in rows)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("instances", type=Path, help="folder of the .csv instances")
    parser.add_argument("--peer", help="MiniMalloc's binary")
    parser.add_argument("--capacity", type=int, default=1048576)
    args = parser.parse_args()
    print(
        "| instance | MiniMalloc CPU s | Thimble CPU s | of that searching | heights valid |\n|---|---:|---:|---:|---|"
    )
    totals, good = [0.0, 0.0, 0.0], True
    for instance in sorted(args.instances.glob("?.*.csv")):
        with tempfile.TemporaryDirectory() as folder:
            ours, theirs = Path(folder, "ours.csv"), Path(folder, "theirs.csv")
            words = ["pack", str(instance), "--capacity", str(args.capacity), "-o", str(ours), "--json"]
            taken, text = cpu_seconds([*_THIMBLE, *words])
            search = float(json.loads(text)["seconds"])
            peer = 0.0
            if args.peer:
                flags = [f"--capacity={args.capacity}", f"--input={instance}", f"--output={theirs}"]
                peer, _ = cpu_seconds([args.peer, *flags])
            found = height(instance, ours)
            fits = found is not None and found <= args.capacity
            beside = height(instance, theirs) if args.peer else None
            good = good and fits
        row = (peer, taken, search)
        totals = [a + b for a, b in zip(totals, row, strict=True)]
        shown = f"{found:,}" if found is not None else "**not solved**"
        shown += f" / {beside:,}" if beside is not None else ""
        print(f"| {instance.stem[0]} | {peer:.2f} | {taken:.2f} | {search:.2f} | {shown} |", flush=True)
    print(f"| **all** | {totals[0]:.1f} | {totals[1]:.1f} | {totals[2]:.1f} | |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
