# SPDX-License-Identifier: Apache-2.0
"""Rung 0 beside TFLM itself: the arena that the PyPI wheel reports, and the one that Thimble predicts.

    python benchmarks/tflm.py MODELS_DIR

Needs `tflite-micro` from the package index (Linux, Python 3.11). Each model runs in a process of its own, because TFLM
aborts on some. Exit code 1 when a planned part differs, or a total is below TFLM's or more than 2 % above.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import thimble
from thimble.target import target_named
from thimble.tflm import predict

_WHEEL = """
import sys
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_bytes(open(sys.argv[1], "rb").read(), arena_size=96 << 20)
interpreter.print_allocations()
"""


def measured(model: Path) -> tuple[int, int] | None:
    """Head and total of TFLM's arena, or None where it refuses the model."""
    done = subprocess.run(
        [sys.executable, "-c", _WHEEL, str(model)], capture_output=True, text=True, timeout=300, check=False
    )
    figures = dict(re.findall(r"Arena allocation (total|head)\D*(\d+)", done.stdout + done.stderr))
    return None if done.returncode or len(figures) < 2 else (int(figures["head"]), int(figures["total"]))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of .tflite files")
    host = target_named("host")
    print("| model | TFLM planned | Thimble planned | TFLM total | Thimble total | |\n|---|---:|---:|---:|---:|---|")
    good = True
    for model in sorted(parser.parse_args().models.glob("*.tflite")):
        ours, theirs = predict(thimble.load(model), host), measured(model)
        predicted = f"{ours.nonpersistent_bytes:,}", f"{ours.total_bytes:,}"
        if theirs is None:
            print(f"| {model.stem} | – | {predicted[0]} | – | {predicted[1]} | TFLM refuses it |")
            continue
        head, total = theirs
        equal = (head, total) == (ours.nonpersistent_bytes, ours.total_bytes)
        good = good and head == ours.nonpersistent_bytes and total <= ours.total_bytes <= 1.02 * total
        verdict = "equal" if equal else "**differs**"
        print(f"| {model.stem} | {head:,} | {predicted[0]} | {total:,} | {predicted[1]} | {verdict} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
