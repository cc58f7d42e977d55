# SPDX-License-Identifier: Apache-2.0
"""Operator orders of least peak: real models beside tflite-tools, random graphs beside brute force, large graphs.

    python benchmarks/orders.py [--models DIR] [--peer PATH_TO_A_TFLITE_TOOLS_CHECKOUT --peer-python PYTHON]

Writes the table to benchmarks/results/orders.md as well. The peer needs an old flatbuffers (`pip install
flatbuffers==1.12 'numpy<2' prettytable`), hence its own interpreter. Exit code 1 when a bar is missed: a model not
proven or above 10 s, the peer below us, a random graph that differs from brute force, a gap above 5 %, above 60 s.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from thimble import zoo
from thimble.importers.tflite import read_tflite
from thimble.ir import Custom, DType, Graph, Kind, Op, OpId, Source, Tensor, TensorId
from thimble.lifetime import dependencies, shipped_schedule
from thimble.schedule import optimal_order, schedule_peak
from thimble.verify import verify_schedule

_PEER = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
sys.path.insert(0, sys.argv[1])
sys.setrecursionlimit(100000)
from tflite_tools.tflite_model import TFLiteModel
model = TFLiteModel.load_from_file(sys.argv[2])
print(int(model.compute_best_peak_memory_usage()[0]))
"""

Nodes = list[tuple[tuple[int, ...], int]]  # Per operator: the tensors that it reads, and the bytes of its result.


def peer_peak(args: argparse.Namespace, model: Path | None) -> int | str:
    """The peer's optimum in bytes, or why it has none."""
    if args.peer is None or model is None:
        return "not run"
    command = [args.peer_python, "-c", _PEER, args.peer, str(model)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {args.seconds} s"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return last.split(":")[0][:40] or "failed"
    return int(done.stdout)


def models(folder: Path | None) -> Iterator[tuple[str, Graph, Path | None]]:
    """All models of the folder, then the zoo."""
    for file in sorted(folder.glob("*.tflite")) if folder is not None else []:
        yield file.stem, read_tflite(file).main, file
    for name in zoo.names():
        yield f"zoo: {name}", zoo.build(name).main, None


def model_rows(args: argparse.Namespace) -> Iterator[tuple[str, bool]]:
    """One row per model, and whether it meets the bar."""
    for name, graph, file in models(args.models):
        shipped = schedule_peak(graph, shipped_schedule(graph))
        start = time.process_time()
        found = optimal_order(graph)
        seconds = time.process_time() - start
        verify_schedule(graph, found)
        assert found.peak == schedule_peak(graph, found)
        proven = found.peak == found.lower_bound
        peer = peer_peak(args, file)
        good = proven and seconds <= 10 and not (isinstance(peer, int) and peer < found.peak)
        saving = f"{100 * (found.peak - shipped) / shipped:.2f} %" if found.peak != shipped else "–"
        kept = optimal_order(graph, keep_inputs=True)
        good = good and kept.peak == kept.lower_bound
        chain = "chain" if is_chain(graph) else ""
        yield (
            f"| {name} | {len(graph.ops)} | {chain} | {shipped:,} | {found.peak:,} | {found.lower_bound:,} | {saving} "
            f"| {'yes' if proven else '**no**'} | {kept.peak:,} | {found.nodes:,} | {seconds:.3f} "
            f"| {f'{peer:,}' if isinstance(peer, int) else peer} |",
            good,
        )


def is_chain(graph: Graph) -> bool:
    """Whether there is only one order."""
    before = dependencies(graph)
    return all(index - 1 in needs for index, needs in enumerate(before) if index > 0)


def brute_force(nodes: Nodes, inputs: int, outputs: set[int], sizes: list[int]) -> int:
    """Least peak over all orders, by dynamic programming over the sets of executed operators."""
    before = [sum({1 << (t - inputs) for t in reads if t >= inputs}) for reads, _ in nodes]
    readers = [sum(1 << i for i, (reads, _) in enumerate(nodes) if t in reads) for t in range(len(sizes))]
    best = {0: 0}
    for _ in nodes:
        following: dict[int, int] = {}
        for done, peak in best.items():
            live = 0
            for t, size in enumerate(sizes):
                born = t < inputs or done >> (t - inputs) & 1
                first = t < inputs and done == 0
                live += size if (born and (t in outputs or readers[t] & ~done)) or first else 0
            for op in range(len(nodes)):
                if not done >> op & 1 and not before[op] & ~done:
                    value = max(peak, live + sizes[inputs + op])
                    then = done | 1 << op
                    following[then] = min(value, following.get(then, value))
        best = following
    return best[(1 << len(nodes)) - 1]


def graph_of(nodes: Nodes, inputs: list[int], outputs: set[int]) -> Graph:
    """Opaque operators with one int8 result each; tensors are numbered inputs first."""
    sizes = inputs + [size for _, size in nodes]
    kind = [Kind.INPUT] * len(inputs) + [Kind.ACTIVATION] * len(nodes)
    tensors = tuple(Tensor(TensorId(i), f"t{i}", (n,), DType.INT8, kind=kind[i]) for i, n in enumerate(sizes))
    operators = tuple(
        Op(
            OpId(i),
            f"op{i}",
            Custom(),
            tuple(TensorId(t) for t in reads),
            (TensorId(len(inputs) + i),),
            Source("", "", i),
        )
        for i, (reads, _) in enumerate(nodes)
    )
    ids = tuple(TensorId(i) for i in range(len(inputs)))
    return Graph("random", tensors, operators, ids, tuple(TensorId(t) for t in sorted(outputs)))


def small_graph(seed: int) -> tuple[Nodes, list[int], set[int]]:
    """Up to 12 operators, some results dead, some inputs unread."""
    rng = random.Random(seed)
    inputs = [rng.randint(1, 20) for _ in range(rng.randint(1, 3))]
    nodes: Nodes = []
    window = rng.choice((3, 5, 100))
    for i in range(rng.randint(4, 12)):
        pool = range(max(0, len(inputs) + i - window), len(inputs) + i)
        reads = {rng.choice(pool) for _ in range(rng.choice((0, 1, 1, 2, 2, 3)))}
        nodes.append((tuple(sorted(reads)), rng.randint(1, 20)))
    outputs = {len(inputs) + len(nodes) - 1} | {t for t in range(len(inputs) + len(nodes)) if rng.random() < 0.05}
    return nodes, inputs, outputs


def small_section(count: int) -> Iterator[tuple[str, bool]]:
    """Random small graphs against brute force."""
    equal = improved = 0
    native = 0.0
    for seed in range(count):
        nodes, inputs, outputs = small_graph(seed)
        graph = graph_of(nodes, inputs, outputs)
        start = time.process_time()
        found = optimal_order(graph)
        native += time.process_time() - start
        sizes = inputs + [size for _, size in nodes]
        equal += found.peak == found.lower_bound == brute_force(nodes, len(inputs), outputs, sizes)
        improved += found.method != "shipped"
    text = f"{count:,} random graphs of 4 to 12 operators: {equal:,} proven and equal to brute force; the listed order"
    yield f"{text} was improved in {improved:,}; {native:.1f} s for our part.", equal == count


def lanes(seed: int, operators: int, width: int, cross: float, heavy: bool) -> tuple[Nodes, list[int], set[int]]:
    """At most `width` operators are independent of each other: each extends one of that many chains."""
    rng = random.Random(seed)
    nodes: Nodes = []
    last = [[0] for _ in range(width)]
    for i in range(operators):
        lane = last[rng.randrange(width)]
        reads = {lane[-1]}
        if rng.random() < cross:
            reads.add(rng.choice(last)[-1])
        if rng.random() < cross / 2:
            reads.add(rng.choice(rng.choice(last)[-4:]))
        lane.append(i + 1)
        nodes.append((tuple(sorted(reads)), int(2 ** rng.uniform(0, 10)) if heavy else rng.randint(1, 100)))
    return nodes, [50], {lane[-1] for lane in last}


def layers(seed: int, operators: int, width: int) -> tuple[Nodes, list[int], set[int]]:
    """Layers of up to `width` operators that read from the two layers before."""
    rng = random.Random(seed)
    nodes: Nodes = []
    older: list[int] = []
    newer = [0]
    while len(nodes) < operators:
        layer = []
        for _ in range(min(rng.randint(1, width), operators - len(nodes))):
            reads = {rng.choice(older + newer) for _ in range(rng.randint(1, 3))}
            nodes.append((tuple(sorted(reads)), rng.randint(1, 100)))
            layer.append(len(nodes))
        older, newer = newer, layer
    return nodes, [50], set(newer)


def blocks(seed: int, operators: int, overlap: bool) -> tuple[Nodes, list[int], set[int]]:
    """Blocks of branches that meet again; with `overlap` each block also reads the block before the last."""
    rng = random.Random(seed)
    nodes: Nodes = []

    def add(reads: set[int], low: int, high: int) -> int:
        nodes.append((tuple(sorted(reads)), rng.randint(low, high)))
        return len(nodes)

    before = last = 0
    while len(nodes) < operators:
        ends = set()
        for _ in range(rng.randint(2, 5)):
            end = last
            for _ in range(rng.randint(1, 4)):
                end = add({end}, 1, 100)
            ends.add(end)
        if overlap:
            ends.add(add({before}, 1, 100))
        before, last = last, add(ends, 20, 80)
    return nodes, [50], {last}


def large_rows(budget: int) -> Iterator[tuple[str, bool]]:
    """Random graphs of 1,000 operators and bounded width, and long chains of blocks."""
    cases: list[tuple[str, Callable[[], tuple[Nodes, list[int], set[int]]]]] = []
    for width in (4, 8, 12):
        for seed in range(3):
            cases.append((f"{width} lanes, seed {seed}", lambda s=seed, w=width: lanes(s, 1000, w, 0.3, False)))
            cases.append((f"{width} loose lanes, seed {seed}", lambda s=seed, w=width: lanes(s, 1000, w, 0.08, False)))
            cases.append(
                (f"{width} lanes, sizes 1-1024, seed {seed}", lambda s=seed, w=width: lanes(s, 1000, w, 0.3, True))
            )
            cases.append((f"layers of up to {width}, seed {seed}", lambda s=seed, w=width: layers(s, 1000, w)))
    for count in (1_000, 10_000, 100_000):
        cases.append((f"chain of blocks, {count:,}", lambda n=count: blocks(1, n, False)))
        cases.append((f"chain of overlapping blocks, {count:,}", lambda n=count: blocks(1, n, True)))
    for name, make in cases:
        graph = graph_of(*make())
        shipped = schedule_peak(graph, shipped_schedule(graph))
        start = time.process_time()
        found = optimal_order(graph, budget=budget)
        seconds = time.process_time() - start
        verify_schedule(graph, found)
        assert found.peak == schedule_peak(graph, found)
        gap = 100 * (found.peak - found.lower_bound) / found.lower_bound
        row = f"| {name} | {len(graph.ops):,} | {shipped:,} | {found.peak:,} | {found.lower_bound:,} "
        yield (
            f"{row}| {'proven' if gap == 0 else f'{gap:.2f} %'} | {found.nodes:,} | {seconds:.2f} |",
            gap <= 5 and seconds <= 60,
        )


def report(args: argparse.Namespace) -> Iterator[tuple[str, bool]]:
    """All lines of the result, each with whether it is as it should be."""
    yield (
        f"# Operator orders\n\n{machine()}, {date.today().isoformat()}. Bytes; `benchmarks/orders.py` makes this.\n",
        True,
    )
    yield (
        "## Models\n\n`kept` is the least peak when the caller's inputs must survive.\n",
        True,
    )
    yield (
        "| model | operators | | shipped | ours | bound | change | proven | kept | nodes | CPU s | tflite-tools |",
        True,
    )
    yield "|---|---:|---|---:|---:|---:|---:|---|---:|---:|---:|---:|", True
    yield from model_rows(args)
    yield "\n## Small random graphs\n", True
    yield from small_section(args.small)
    yield "\n## Large random graphs\n\n| graph | operators | listed | ours | bound | gap | nodes | CPU s |", True
    yield "|---|---:|---:|---:|---:|---|---:|---:|", True
    yield from large_rows(args.budget)


def machine() -> str:
    """Processor and number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores (one used)"


def main() -> int:
    """Print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of .tflite files")
    parser.add_argument("--peer", help="a checkout of eliberis/tflite-tools")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with the peer's dependencies")
    parser.add_argument("--seconds", type=int, default=40, help="time limit of the peer per model")
    parser.add_argument("--small", type=int, default=10_000, help="how many small random graphs")
    parser.add_argument("--budget", type=int, default=8_000_000, help="search states for the large random graphs")
    parser.add_argument("-o", type=Path, default=Path(__file__).parent / "results" / "orders.md", help="file to write")
    args = parser.parse_args()
    missed = 0
    lines = []
    for line, good in report(args):
        lines.append(line if good else f"{line} **missed**")
        missed += not good
        print(lines[-1], flush=True)
    args.o.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
