# SPDX-License-Identifier: Apache-2.0
"""The memory map: rows that add up, the peak, and the sentence that explains it.

The graph worked by hand, bytes in brackets, one row of the map per step:

    step        0     1     2               input  output  other  total
    x   (8)  |====|=====|=====|        0        8      16      0     24
    a  (16)  |====|=====|              1       16      32      8     56   <- peak: x waits for step 2
    b  (32)       |=====|=====|        2       40       4      0     44
    y   (4)             |=====|
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies_graphs import graphs, schedules, slow_lifetimes
from thimble.importers.tflite import read_tflite
from thimble.ir import Custom, DType, Graph, Kind, Op, OpId, Source, Tensor, TensorId
from thimble.lifetime import live_sums, shipped_schedule
from thimble.mapping import MemoryMap, map_memory

NAMES = ("x", "a", "b", "y")
SIZES = (8, 16, 32, 4)
Wires = tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
DRAWN: Wires = (((0,), (1,)), ((1,), (2,)), ((2, 0), (3,)))


def graph_of(wires: Wires = DRAWN, outputs: tuple[int, ...] = (3,)) -> Graph:
    tensors = tuple(
        Tensor(TensorId(i), name, (size,), DType.INT8, None, Kind.ACTIVATION if i else Kind.INPUT)
        for i, (name, size) in enumerate(zip(NAMES, SIZES, strict=True))
    )
    ops = tuple(
        Op(
            OpId(i),
            f"op{i}",
            Custom("ANY"),
            tuple(TensorId(t) for t in reads),
            tuple(TensorId(t) for t in writes),
            Source("f.tflite", "g", i),
        )
        for i, (reads, writes) in enumerate(wires)
    )
    return Graph("g", tensors, ops, (TensorId(0),), tuple(TensorId(t) for t in outputs))


def mapped(graph: Graph, scratch: dict[OpId, int] | None = None) -> MemoryMap:
    return map_memory(graph, shipped_schedule(graph), scratch)


def test_the_drawn_graph() -> None:
    memory = mapped(graph_of())
    rows = [(r.input_bytes, r.output_bytes, r.other_bytes, r.total_bytes) for r in memory.operators]
    assert rows == [(8, 16, 0, 24), (16, 32, 8, 56), (40, 4, 0, 44)]
    assert memory.peak is memory.operators[1]
    assert memory.peak_bytes == 56
    assert memory.others(memory.operators[1]) == (0,)


def test_scratch_counts_and_can_move_the_peak() -> None:
    memory = mapped(graph_of(), {OpId(2): 100})
    assert [row.scratch_bytes for row in memory.operators] == [0, 0, 100]
    assert memory.peak_bytes == 144
    assert memory.peak is memory.operators[2]


def test_the_first_of_equal_peaks_is_named() -> None:
    memory = mapped(graph_of(), {OpId(2): 12})  # 44 + 12 = 56, as much as operator 1 needs
    assert memory.peak is memory.operators[1]


def test_no_operators() -> None:
    memory = mapped(graph_of((), outputs=(0,)))
    assert memory.peak is None
    assert memory.peak_bytes == 0
    assert memory.why() == "The graph has no operators."


def test_variables_are_counted_apart() -> None:
    graph = graph_of()
    state = Tensor(TensorId(4), "state", (10,), DType.INT32, None, Kind.VARIABLE)
    memory = mapped(Graph("g", (*graph.tensors, state), graph.ops, graph.inputs, graph.outputs))
    assert memory.variable_bytes == 40
    assert memory.peak_bytes == 56


SENTENCES = {
    # x is not read before step 2.
    "an input waits": (
        graph_of(),
        "ANY 'op1' holds 3 tensors because the input 'x' (8 B) waits to be read 1 operator later.",
    ),
    # a is read at steps 1 and 2: a skip connection.
    "read again": (
        graph_of((((0,), (1,)), ((0,), (2,)), ((1, 2), (3,)))),
        "ANY 'op1' holds 3 tensors because 'a' (16 B) is read again 1 operator later.",
    ),
    "an output stays": (
        graph_of((((0,), (1,)), ((0,), (2,))), outputs=(1, 2)),
        "ANY 'op1' holds 3 tensors because the output 'a' (16 B) stays to the end.",
    ),
    "nothing to gain": (
        graph_of((((0,), (1,)), ((1,), (2,)), ((2,), (3,)))),
        "ANY 'op1' needs its input and output at once and nothing else is live: "
        "no order of operators can lower this peak.",
    ),
}


@pytest.mark.parametrize(("graph", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_why(graph: Graph, sentence: str) -> None:
    assert mapped(graph).why() == sentence


@given(st.data())
def test_rows_add_up(data: st.DataObject) -> None:
    """On random graphs: every row's parts, the live sums of slowly found lifetimes and the peak agree."""
    graph = data.draw(graphs(min_ops=1))
    schedule = data.draw(schedules(graph))
    memory = map_memory(graph, schedule)
    lives = slow_lifetimes(graph, schedule)
    sums = live_sums([(life, graph.tensors[t].nbytes) for t, life in lives.items()], len(schedule.order))
    assert tuple(row.total_bytes for row in memory.operators) == sums
    assert memory.peak_bytes == max(sums)
    for step, row in enumerate(memory.operators):
        op = graph.ops[row.op]
        live = {t for t, life in lives.items() if life.start <= step < life.stop}
        assert memory.others(row) == tuple(sorted(live - set(op.inputs) - set(op.outputs)))
        assert row.other_bytes == sum(graph.tensors[t].nbytes for t in memory.others(row))


@pytest.mark.models
def test_peaks_of_real_models_equal_the_index(models_dir: Path) -> None:
    """The index was made by another program, over each file's stored order.

    Two models differ by a few bytes: they keep their state behind RESOURCE handles, which TFLM allocates in the
    arena at 4 bytes each and Thimble therefore counts; the index leaves them out. All handles are live at once.
    """
    with (models_dir / "INDEX.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["format"] == "tflite"]
    assert len(rows) > 50
    wrong = []
    for row in rows:
        graph = read_tflite(models_dir / row["file"]).main
        handles = sum(t.nbytes for t in graph.tensors if t.dtype is DType.RESOURCE)
        peak = mapped(graph).peak_bytes
        expected = int(row["peak_live_activation_bytes_stored_order"])
        if not expected <= peak <= expected + handles:
            wrong.append((row["file"], peak, expected))
    assert wrong == []
