# SPDX-License-Identifier: Apache-2.0
"""Beside the public optimizer of msf-CNN: RAM at equal or fewer multiply-accumulates, on its own networks.

    python benchmarks/msf_cnn.py CHECKOUT [--peer-python PYTHON]

CHECKOUT is that of TinyPART/msf-CNN, PYTHON an interpreter with numpy. Its optimizer runs for several limits of the
multiply-accumulates; the networks are built as int8 graphs from its own list of layers, which has no residual sums and
no pooling. What its `MemoryUsageEstimator` counts is counted for both: neither the input of the first layer nor the
output of the last, all else in bytes of int8. It counts no work space
of kernels; Thimble's does count. Its tile of the first layer is a copy of a part of the input, which Thimble's kernels
do not need. Its figures are sums; Thimble's are arenas after packing, and the programs are verified. Its count of
multiply-accumulates leaves out rows and columns at the borders of fused blocks; `real` has them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from thimble.arena import arena_problem
from thimble.choose import directions, variants
from thimble.condense import condensed
from thimble.ir import Graph, TensorId
from thimble.kernel import Choice, Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import Unit, assembled, traits_of
from thimble.memory import Buffer, BufferId, Distance, Problem, Solution
from thimble.pack import pack
from thimble.patches import Patch, extra_macs
from thimble.recompute import front
from thimble.rewrites import compilable
from thimble.streaming import Segment, partitions, row_rules
from thimble.verify_program import verify_program
from thimble.zoo.builder import Builder

PEER = """
import json, sys
import analysis_optimization as its
from analysis.memory_first import MinimizePeakMEMstMOFOptimizer as Optimizer
from analysis.utils import create_network_from
sys.stdout, out = sys.stderr, sys.stdout
found = {}
for name, layers in its.model_dict.items():
    image, points = its.input_tensor_dict[name], []
    for limit in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, float("inf")):
        peak, setting = Optimizer().optimize(layers, image, limit)
        network = create_network_from(setting, layers, image)
        network.reset_compute_counter()
        network.calc_memory_usage(image, ignore_output=True)
        counts = [int(network.total_mac), int(network.total_common_mac)]
        points.append([limit, int(peak), *counts, [list(map(int, block)) for block in setting]])
    shapes = [[layer.name, layer.output_channels, layer.kernel_size, layer.stride] for layer in layers]
    found[name] = {"image": list(image.shape), "layers": shapes, "points": points}
json.dump(found, out)
"""
TITLES = {"MBV2-w0.35": "MBV2-w0.35-r144", "MN2-vww5": "MCUNet-vww5", "MN2-320K": "MCUNet-320K"}
_NODES = 4_000  # of the packer, per point and direction


@dataclass(frozen=True, slots=True)
class Candidate:
    """Segments with patches, and the multiply-accumulates that these add."""

    parts: tuple[Segment, ...]
    extra: int


def network(image: Sequence[int], layers: Sequence[tuple[str, int, int, int]], name: str) -> Graph:
    """The int8 graph of a list of (kind, channels, kernel, stride)."""
    build = Builder(name, 1)
    start = x = build.input((1, *image))
    for kind, channels, kernel, stride in layers:
        depthwise = kind == "DepthwiseConv"
        x = build.depthwise(x, kernel, stride) if depthwise else build.conv(x, channels, kernel, stride)
    return compilable(build.model([start], [x]))


def candidates(graph: Graph) -> Iterator[Candidate]:
    """Points without and with patches, input and output not counted."""
    order = [op.id for op in graph.ops]
    traits = traits_of(graph, Flavour.PORTABLE, dict.fromkeys(order, Choice(Flavour.PORTABLE, 0)))
    rules = {op: row_rules(graph, op) for op in order}
    ends = {*graph.inputs, *graph.outputs}
    cuts = partitions(graph, order, traits=traits, elsewhere=ends)
    for parts, whole in (*((cut, False) for cut in cuts), (cuts[-1], True)):
        for point in (parts, *front(graph, parts, traits=traits, elsewhere=ends, whole=whole)):
            extra = sum(extra_macs(graph, patch, rules) for part in point for patch in part.patches)
            yield Candidate(point, extra)


def packed(graph: Graph, candidate: Candidate) -> int:
    """Bytes of the arena without input and output."""
    ends = {*graph.inputs, *graph.outputs}
    heights = []
    for units in _directed(graph, candidate):
        problem, slots = arena_problem(graph, units, merge=True)
        inner = pack(condensed(_without(problem, [ends & {*slot.tensors} for slot in slots])), budget=_NODES)
        assert isinstance(inner, Solution)
        heights.append(inner.height)
    return min(heights)


def verified(graph: Graph, candidate: Candidate) -> None:
    """Raise unless the program, with input and output in its arena, computes what the graph says."""
    units = next(_directed(graph, candidate))
    problem, slots = arena_problem(graph, units, merge=True, split=True)
    solution = pack(condensed(problem), budget=_NODES)
    assert isinstance(solution, Solution)
    verify_program(assembled("msf_cnn", graph, shipped_schedule(graph), units, slots, solution))


def _directed(graph: Graph, candidate: Candidate) -> Iterator[tuple[Unit, ...]]:
    """The segments with the kernels that need least work space, for each way to take turns in their directions."""
    table = variants(graph, candidate.parts, Flavour.PORTABLE)
    return directions([options[-1] for options in table])


def _without(problem: Problem, ends: Sequence[set[TensorId]]) -> Problem:
    """The problem without the buffers that hold an end of the network."""
    kept = [buffer for buffer, out in zip(problem.buffers, ends, strict=True) if not out]
    number = {buffer.id: BufferId(place) for place, buffer in enumerate(kept)}
    buffers = tuple(Buffer(number[b.id], b.size, b.lifetime, b.alignment, b.gaps, b.offset) for b in kept)
    distances = tuple(
        Distance(number[d.early], number[d.late], d.least)
        for d in problem.distances
        if d.early in number and d.late in number
    )
    return Problem(buffers, distances=distances)


def rows(name: str, peer: dict[str, Any]) -> Iterator[str]:
    """Lines of the table: at each of the peer's points the least arena with no more multiply-accumulates."""
    graph = network(peer["image"], peer["layers"], TITLES[name])
    start = time.perf_counter()
    found = [(packed(graph, candidate), candidate) for candidate in candidates(graph)]
    print(f"{name}: {len(found)} points in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    best: dict[int, tuple[int, Candidate]] = {}
    last = None
    for limit, ram, macs, common, blocks in peer["points"]:
        assert common == graph.macs(), "another network"
        if (ram, macs) == last:
            continue
        last = (ram, macs)
        real = common + _recomputed(graph, blocks)
        cells = [f"{TITLES[name]} | {'none' if limit == float('inf') else f'{limit:g}x'} | {ram:,}"]
        cells += [f"{macs / common:.3f}x | {real / common:.3f}x"]
        for most in (macs, real):
            able = [point for point in found if point[1].extra <= most - common]
            best[most] = min(able, key=lambda point: (point[0], point[1].extra))
            height, candidate = best[most]
            cells.append(f"{height:,} | {1 + candidate.extra / common:.3f}x | {100 * (height / ram - 1):+.1f} %")
        yield "| " + " | ".join(cells) + " |"
    for candidate in dict(best.values()).values():
        verified(graph, candidate)


def _recomputed(graph: Graph, blocks: Sequence[tuple[int, int]]) -> int:
    """Multiply-accumulates that the peer's blocks add: each row of a block's result by itself, columns once.

    Images are square, so that is as much as each column by itself and rows once.
    """
    rules = {op.id: row_rules(graph, op.id) for op in graph.ops}
    fused = (tuple(op.id for op in graph.ops[first : last + 1]) for first, last in blocks if last > first)
    sides = ((ops, graph.results(graph.ops[ops[-1]])[0].shape[1]) for ops in fused)
    return sum(extra_macs(graph, Patch(ops, side, side), rules) for ops, side in sides)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="RAM at equal multiply-accumulates, beside msf-CNN's optimizer.")
    parser.add_argument("checkout")
    parser.add_argument("--peer-python", default=sys.executable)
    options = parser.parse_args()
    command = [options.peer_python, "-c", PEER]
    answer = subprocess.run(command, cwd=options.checkout, capture_output=True, text=True, check=True).stdout
    ours = "Thimble at reported MACs | | | Thimble at real MACs | |"
    print(f"| network | its limit | msf-CNN: RAM | MACs as reported | real MACs | {ours} |")
    print("|---|---:|" + "---:|" * 9)
    for name, peer in json.loads(answer).items():
        for row in rows(name, peer):
            print(row, flush=True)


if __name__ == "__main__":
    main()
