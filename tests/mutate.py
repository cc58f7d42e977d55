# SPDX-License-Identifier: Apache-2.0
"""Seeded damage to `.tflite` files, and the check that the importer survives it.

    python tests/mutate.py --count 20000 --seed 1 [--only CASE --save FILE]

Case k of a seed is always the same file. A worker process with 2 GiB of address space runs the cases, an
alarm bounds each one, and a worker that dies is replaced, its last case counted as an escape.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import tiny_tflite as tiny
from thimble.errors import InternalError, ThimbleError
from thimble.importers import flatbuffer
from thimble.importers.tflite import parse_tflite
from thimble.lifetime import shipped_schedule
from thimble.mapping import map_memory
from thimble.verify import verify_graph, verify_schedule

SECONDS_PER_CASE = 5
ADDRESS_SPACE = 2 << 30
LARGEST_BASE = 200_000  # bytes; larger files are mostly weights, where damage shows least
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
REPOSITORY = Path(__file__).parent.parent


@dataclass
class Layout:
    """Where a file keeps its structure: positions of offsets, counts, vtables and (start, stop) of contents."""

    offsets: dict[int, None] = field(default_factory=dict)  # a set that keeps its order
    counts: list[int] = field(default_factory=list)
    vtables: list[tuple[int, int]] = field(default_factory=list)
    contents: list[tuple[int, int]] = field(default_factory=list)


class _Recorder(flatbuffer._Checker):
    """The importer's own walk over the file, noting where it has been."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data, "base")
        self.layout = Layout()

    def follow(self, at: int, what: str) -> int:
        self.layout.offsets[at] = None
        return super().follow(at, what)

    def vector(self, at: int, width: int, what: str) -> tuple[int, int]:
        start, count = super().vector(at, width, what)
        self.layout.counts.append(start - 4)
        self.layout.contents.append((start, start + min(count * width, 64)))
        return start, count

    def table(self, name: str, at: int) -> None:
        vtable = at - int(struct.unpack_from("<i", self.data, at)[0])
        size, inline = struct.unpack_from("<HH", self.data, vtable)
        self.layout.vtables.append((vtable, vtable + size))
        self.layout.contents.append((at, at + inline))
        super().table(name, at)


Mutation = Callable[[bytearray, Layout, random.Random], None]


@functools.cache
def layout_of(data: bytes) -> Layout:
    """The structure of a sound file."""
    recorder = _Recorder(data)
    recorder.table("Model", recorder.follow(0, "root"))
    return recorder.layout


def _flip(data: bytearray, layout: Layout, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _truncate(data: bytearray, layout: Layout, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _word(data: bytearray, at: int, rng: random.Random) -> None:
    """Four bytes set to an extreme, to something about the file's length, or to a little more or less."""
    if at + 4 > len(data):
        return
    old = int(struct.unpack_from("<I", data, at)[0])
    near = (old + rng.choice((-8, -4, -1, 1, 4, 8)), len(data) - at, len(data), rng.randrange(len(data)))
    struct.pack_into("<I", data, at, rng.choice((*EXTREMES, *near)) & 0xFFFFFFFF)


def _offset(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _word(data, rng.choice(list(layout.offsets)), rng)


def _count(data: bytearray, layout: Layout, rng: random.Random) -> None:
    _word(data, rng.choice(layout.counts), rng)


def _vtable(data: bytearray, layout: Layout, rng: random.Random) -> None:
    start, stop = rng.choice(layout.vtables)
    at = rng.randrange(start, stop, 2)
    value = rng.choice((0, 1, 2, 4, 8, 12, 0x7FFF, 0xFFFF, rng.randrange(64)))
    struct.pack_into("<H", data, at, value)


def _content(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """Scalars and short vectors: shapes, indices, element types, operator codes, options."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        start, stop = rng.choice(layout.contents)
        if stop - start < 1:
            continue
        at = rng.randrange(start, stop)
        if at & ~3 in layout.offsets:
            continue  # damaged offsets are found early; `_offset` sees to them
        if rng.random() < 0.5:
            data[at] = rng.choice((0, 1, 2, 4, 9, 13, 32, 94, 119, 127, 128, 129, 255))
        else:
            _word(data, at & ~3, rng)


def _swap(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """Two offsets exchange what they point to; FlatBuffers offsets only point forwards."""
    for _ in range(16):
        first, second = rng.sample(list(layout.offsets), 2)
        one, two = (at + int(struct.unpack_from("<I", data, at)[0]) for at in (first, second))
        if two > first and one > second:
            struct.pack_into("<I", data, first, (two - first) & 0xFFFFFFFF)
            struct.pack_into("<I", data, second, (one - second) & 0xFFFFFFFF)
            return


def _share(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """One offset points to what another one points to."""
    first, second = sorted(rng.sample(list(layout.offsets), 2))
    target = second + int(struct.unpack_from("<I", data, second)[0])
    struct.pack_into("<I", data, first, (target - first) & 0xFFFFFFFF)


def _duplicate(data: bytearray, layout: Layout, rng: random.Random) -> None:
    """A range copied over another place, or put in so that all behind it moves."""
    start = rng.randrange(len(data)) & ~3
    piece = data[start : start + rng.choice((4, 16, 64, 1024))]
    at = rng.randrange(len(data)) & ~3
    stop = at if rng.random() < 0.5 else at + len(piece)
    data[at:stop] = piece


MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _truncate,
    _offset,
    _count,
    _vtable,
    _content,
    _content,
    _content,
    _swap,
    _share,
    _duplicate,
)
SEVERE = (_truncate, _duplicate)  # these move bytes, so that the layout no longer holds: last, and alone


def mutate(bases: tuple[bytes, ...], rng: random.Random) -> bytes:
    """One damaged file: a base with one to three mutations, or the head of one base and the tail of another."""
    base = rng.choice(bases)
    data, layout = bytearray(base), layout_of(base)
    if rng.random() < 0.05:
        other = rng.choice(bases)
        cut = rng.randrange(len(base))
        return bytes(data[:cut] + other[min(cut, len(other)) :])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutation = rng.choice(MUTATIONS)
        mutation(data, layout, rng)
        if mutation in SEVERE or not data:
            break
    return bytes(data)


def own_bases() -> tuple[bytes, ...]:
    """Small files with what the models at hand lack: several graphs, control flow, variables, dynamic shapes."""
    conv = (tiny.CONV_2D_OPTIONS, {0: ("b", 1), 1: ("i", 1), 2: ("i", 1)})
    quant = {2: tiny.Ints("f", (0.5, 0.25)), 3: tiny.Ints("q", (0, 0)), 6: ("i", 3)}
    chain = tiny.graph(
        [
            tiny.tensor(b"x", (1, 8, 8, 2), signature=(-1, 8, 8, 2)),
            tiny.tensor(b"w", (2, 3, 3, 2), buffer=1, quantization=quant),
            tiny.tensor(b"y", (1, 6, 6, 2), signature=(-1, 6, 6, 2)),
            tiny.tensor(b"z", (1, 6, 6, 2), signature=(-1, 6, 6, 2)),
        ],
        (0,),
        (3, 2),
        [tiny.operator(0, (0, 1, -1), (2,), conv), tiny.operator(1, (2,), (3,))],
    )
    called = tiny.graph([tiny.tensor(b"v", (4,), variable=True)], (), (), [], b"called")
    caller = tiny.graph(
        [tiny.tensor(b"a", (2, 2)), tiny.tensor(b"b", (2, 2)), tiny.tensor(b"s", (2,), tiny.INT32, 1)],
        (0,),
        (1,),
        [
            tiny.operator(0, (), (), (tiny.CALL_ONCE_OPTIONS, {0: ("i", 1)})),
            tiny.operator(1, (2, 0), (1,)),
        ],
    )
    return (
        tiny.model([tiny.CONV_2D, tiny.RELU], [chain], (b"", bytes(36))),
        tiny.model([tiny.CALL_ONCE, tiny.FILL], [caller, called], (b"", struct.pack("<2i", 2, 2))),
    )


def find_bases() -> tuple[bytes, ...]:
    """The small `.tflite` files that the package ships and those beside the repository, after the own ones."""
    shared = Path(os.environ.get("THIMBLE_MODELS", REPOSITORY.parent / "shared" / "models"))
    folders = (REPOSITORY / "src" / "thimble" / "data", shared)
    files = [p for folder in folders for p in sorted(folder.glob("*.tflite")) if p.stat().st_size < LARGEST_BASE]
    return (*own_bases(), *(p.read_bytes() for p in files))


class TooSlowError(Exception):
    """Raised by the alarm; not a `ThimbleError`, so that it escapes."""


def _too_slow(signum: int, frame: FrameType | None) -> None:
    raise TooSlowError(f"took more than {SECONDS_PER_CASE} s")


def outcome(data: bytes, file: str = "x.tflite") -> tuple[str, str]:
    """("accepted", ""), ("rejected", message class) or ("escaped", what went wrong)."""
    try:
        model = parse_tflite(data, file)
        for graph in model.graphs:
            schedule = shipped_schedule(graph)
            verify_graph(graph)
            verify_schedule(graph, schedule)
            map_memory(graph, schedule).why()
    except ThimbleError as error:
        text = str(error)
        clear = file in text and len(text) > len(file) + 10 and text.isprintable() and len(text) < 1000
        return ("rejected", message_class(text)) if clear else ("escaped", f"unclear message: {text[:200]!r}")
    except InternalError as error:
        return "escaped", f"InternalError: {error}"
    except Exception as error:
        return "escaped", f"{type(error).__name__}: {error} at {_place(error)}"
    return "accepted", ""


def _place(error: BaseException) -> str:
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(places[-3:]))


def message_class(text: str) -> str:
    """The message without what differs from file to file: quoted names, lists, numbers."""
    text = re.sub(r"'.*?'", "'..'", text)
    text = re.sub(r"\[.*?\]", "[..]", text)
    return re.sub(r"-?\d[\d,]*", "N", text)[:110]


def case(bases: tuple[bytes, ...], seed: int, number: int) -> bytes:
    return mutate(bases, random.Random(f"{seed}/{number}"))


def work(seed: int, first: int, stop: int) -> None:
    """The worker: one JSON line per case, flushed, so that the parent knows which case a crash belongs to."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, _too_slow)
    bases = find_bases()
    for number in range(first, stop):
        data = case(bases, seed, number)
        signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_CASE)
        began = time.perf_counter()
        result = outcome(data)
        seconds = time.perf_counter() - began
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([number, *result, round(seconds, 4)]), flush=True)


def run(seed: int, count: int) -> Iterator[tuple[int, str, str, float]]:
    """Run cases 0 to count - 1 in worker processes; yields (case, outcome, detail, seconds)."""
    first = 0
    path = os.pathsep.join([str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    while first < count:
        command = [sys.executable, __file__, "--worker", str(first), "--count", str(count), "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as worker:
            assert worker.stdout is not None
            for line in worker.stdout:
                number, kind, detail, seconds = json.loads(line)
                first = number + 1
                yield number, kind, detail, seconds
        if first < count:
            yield first, "escaped", f"the worker died with status {worker.returncode}", 0.0
            first += 1


@dataclass
class Summary:
    """What a run came to."""

    cases: int = 0
    accepted: int = 0
    slowest: float = 0.0
    rejected: Counter[str] = field(default_factory=Counter)
    escapes: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, kind: str, detail: str, seconds: float) -> None:
        self.cases += 1
        self.accepted += kind == "accepted"
        self.slowest = max(self.slowest, seconds)
        if kind == "rejected":
            self.rejected[detail] += 1
        if kind == "escaped":
            self.escapes.append((number, detail))

    def __str__(self) -> str:
        lines = [f"{n:7,}  {text}" for text, n in self.rejected.most_common(40)]
        rest = len(self.rejected) - len(lines)
        lines += [f"         and {rest} other messages"] if rest > 0 else []
        lines += [f"ESCAPED  case {number}: {detail}" for number, detail in self.escapes]
        total = f"{self.cases:,} cases: {self.accepted:,} accepted, {self.rejected.total():,} rejected"
        return "\n".join([*lines, f"{total}, {len(self.escapes):,} escaped; slowest {self.slowest:.2f} s"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", type=int, help="run one case in this process, with its traceback")
    parser.add_argument("--save", type=Path, help="with --only: where to write the damaged file")
    options = parser.parse_args()
    if options.worker is not None:
        work(options.seed, options.worker, options.count)
        return 0
    if options.only is not None:
        data = case(find_bases(), options.seed, options.only)
        if options.save:
            options.save.write_bytes(data)
        print(*outcome(data))
        return 0
    summary = Summary()
    for result in run(options.seed, options.count):
        summary.add(*result)
        if summary.cases % 100 == 0:
            progress = f"{summary.cases:,} of {options.count:,}, {len(summary.escapes)} escaped"
            print(progress, end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
    print(summary)
    return 1 if summary.escapes else 0


if __name__ == "__main__":
    sys.exit(main())
