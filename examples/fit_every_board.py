# SPDX-License-Identifier: Apache-2.0
"""On which boards does a model run as it is?

python examples/fit_every_board.py model.tflite
"""

from __future__ import annotations

import sys

import thimble
from thimble.board import board_names


def main(path: str) -> None:
    """Print one line per board, and where the model's memory peak is."""
    model = thimble.load(path)
    print(thimble.memory_map(model).why())
    for name in board_names():
        verdict = thimble.fit(model, board=name)
        ram = verdict.limits.ram
        print(f"{name:<20} {'fits' if verdict.fits else 'no':<5} {verdict.ram_bytes:>12,} of {ram:>12,} bytes of RAM")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "demo")
