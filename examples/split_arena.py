# SPDX-License-Identifier: Apache-2.0
"""Arenas that fit no fast memory, divided over several: what users of TFLM asked for, and what it would gain them.

python examples/split_arena.py

Three requests of tensorflow/tflite-micro, with networks of the described sizes (seeded weights) on boards as described:

* #1173: TCM, on-chip RAM and external RAM of an i.MX RT1170: "larger model can't put smaller buffers to faster TCM".
* #2627: 128 kB of internal SRAM, 32 MB of external RAM, and a model whose arena takes 140 kB.
* #2675: a detector with 2 MB of weights and 5 MB of arena on an ESP32-S3, of whose SRAM 250 kB are free.

For each: the fastest way to put the whole arena into one memory, and everything where it serves best.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import msgspec

from thimble import zoo
from thimble.board import Board, Figure, load_board
from thimble.ir import Model
from thimble.place_board import pairs_of, placed_best, setting_of
from thimble.placement import NoRoom


def with_sizes(board: Board, sizes: Mapping[str, int]) -> Board:
    """A board with less (or more) of some regions; those of 0 bytes are left out."""
    changed = tuple(
        msgspec.structs.replace(r, size=Figure(sizes[r.name], estimate="as the request has it"))
        if r.name in sizes
        else r
        for r in board.regions
        if sizes.get(r.name) != 0
    )
    return msgspec.structs.replace(board, regions=changed)


def cases() -> Iterator[tuple[str, Model, Board]]:
    """Title, model and board of each request."""
    yield "#1173", zoo.build("mobilenet_v2", width=1.0, resolution=224), load_board("imxrt1170")
    small = {"itcm": 0, "dtcm": 0, "sram2": 0, "sram1": 128 << 10}
    yield "#2627", zoo.build("mobilenet_v1", width=0.25, resolution=168), with_sizes(load_board("disco-f746ng"), small)
    free = {"sram1": 250_000, "sram2": 0}
    yield "#2675", zoo.build("mobilenet_v2", width=0.5, resolution=608), with_sizes(load_board("esp32-s3"), free)


def main(wanted: str = "") -> None:
    """Print what each request gains."""
    for title, model, board in cases():
        if wanted not in title:
            continue
        setting = setting_of(model, board)
        pairs = pairs_of(setting)
        whole = min(
            (pair for pair in pairs if pair.placed is not None), key=lambda p: p.placed.latency_ms, default=None
        )
        best = placed_best(setting, "latency", pairs)
        if whole is None or whole.placed is None or isinstance(best, NoRoom):
            print(f"{title} {model.name} on {board.name}: does not fit")
            continue
        gain = 1 - best.latency_ms / whole.placed.latency_ms
        arenas = [
            f"{size:,} B in {m.name}" for size, m in zip(best.result.arenas, setting.memories, strict=True) if size
        ]
        print(f"{title} {model.name} on {board.name}")
        print(f"  whole arena in {whole.activations}, weights in {whole.weights}: {whole.placed.latency_ms:,.1f} ms")
        print(f"  divided: {best.latency_ms:,.1f} ms, {gain:.0%} less; arenas: {', '.join(arenas)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
