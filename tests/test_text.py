# SPDX-License-Identifier: Apache-2.0
"""Values as text: what it looks like, that it reads back as an equal value, and what the parser refuses."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies_graphs import graphs, plans
from thimble.errors import ModelError
from thimble.importers.tflite import read_tflite
from thimble.ir import (
    Activation,
    Custom,
    DType,
    Graph,
    Kind,
    Op,
    OpId,
    Padding,
    Quant,
    Source,
    Tensor,
    TensorId,
)
from thimble.lifetime import shipped_schedule
from thimble.memory import Placement, Plan, Schedule, Scratch
from thimble.ops.conv_2d import Conv2D
from thimble.ops.leaky_relu import LeakyRelu
from thimble.ops.split import Split
from thimble.text import parse_graph, parse_plan, parse_schedule, print_graph, print_plan, print_schedule

SMALL = 200_000  # bytes


def ids(*values: int) -> tuple[TensorId, ...]:
    return tuple(TensorId(v) for v in values)


def example() -> Graph:
    """One of everything that prints differently."""
    half = Quant((0.5,), (-3,))
    fine = Quant(tuple(0.001 * (i + 1) for i in range(6)), (0,) * 6, 3)
    tensors = (
        Tensor(TensorId(0), "x", (1, 4, 4, 2), DType.INT8, half, Kind.INPUT, signature=(-1, 4, 4, 2), buffer=1),
        Tensor(TensorId(1), "w", (6, 1, 1, 2), DType.INT8, fine, Kind.CONSTANT, bytes(range(12)), buffer=2),
        Tensor(TensorId(2), "conv", (1, 4, 4, 6), DType.INT8, half, buffer=3),
        Tensor(TensorId(3), "axis", (), DType.INT32, None, Kind.CONSTANT, b"\3\0\0\0", buffer=4),
        Tensor(TensorId(4), "left", (1, 4, 4, 3), DType.INT8, Quant((0.5, 0.25), (0, 1)), buffer=5),
        Tensor(TensorId(5), "right", (1, 4, 4, 3), DType.INT8, None, buffer=6),
        Tensor(TensorId(6), 'sta"te\n', (3,), DType.FLOAT32, None, Kind.VARIABLE),
        Tensor(TensorId(7), "empty", (0,), DType.INT4, None, Kind.CONSTANT, b""),
        Tensor(TensorId(8), "unused", (2, 2), DType.BOOL),
    )
    ops = (
        Op(
            OpId(0),
            "conv",
            Conv2D(Padding.VALID, 2, 1, Activation.RELU6),
            (TensorId(0), TensorId(1), None),
            ids(2),
            Source("a.tflite", "main", 0),
        ),
        Op(OpId(1), "left", Split(2), ids(3, 2), ids(4, 5), Source("a.tflite", "main", 1), ids(8)),
        Op(OpId(2), "keep", Custom("my_op", b"\1\2\3"), ids(4, 6), ids(6), Source("a.tflite", "main", 7)),
        Op(OpId(3), "nothing", Custom("stop"), (), (), Source("b.tflite", "other", 3)),
    )
    return Graph("main", tensors, ops, ids(0), ids(4, 5))


def example_plan() -> Plan:
    graph = example()
    places = ((TensorId(0), Placement(0, 0)), (TensorId(2), Placement(1, 16)))
    return Plan(graph, shipped_schedule(graph), places, (Scratch(OpId(0), 40, Placement(0, 32)),), (72, 112))


def test_graph(golden: Callable[[str], None]) -> None:
    # Each line's reason: constants are digests, six scales too, w alone shows its buffer among the tensors
    # that nobody writes (activations hide theirs), keep's source index and stop's whole source differ.
    golden(print_graph(example()))


def test_graph_with_data(golden: Callable[[str], None]) -> None:
    golden(print_graph(example(), data=True))


def test_schedule(golden: Callable[[str], None]) -> None:
    # Sixteen to a line; the certificate only where there is one.
    proven = Schedule(tuple(OpId(i) for i in range(20)), "exact", peak=64, lower_bound=60, nodes=12)
    golden(print_schedule(proven) + print_schedule(Schedule(())))


def test_plan(golden: Callable[[str], None]) -> None:
    golden(print_plan(example_plan()))


def test_the_examples_read_back() -> None:
    assert parse_graph(print_graph(example(), data=True)) == example()
    assert parse_plan(print_plan(example_plan(), data=True)) == example_plan()


@given(graphs())
def test_graphs_read_back(graph: Graph) -> None:
    text = print_graph(graph, data=True)
    assert parse_graph(text) == graph
    assert len(text.splitlines()) <= len(graph.tensors) + len(graph.ops) + 2  # names never break a line
    assert text.isascii()


@given(st.data())
def test_plans_read_back(data: st.DataObject) -> None:
    plan = data.draw(plans(data.draw(graphs())))
    assert parse_plan(print_plan(plan, data=True)) == plan
    assert parse_schedule(print_schedule(plan.schedule)) == plan.schedule


@given(st.text(), st.text(), st.integers(0), st.none() | st.integers(), st.lists(st.integers(0)))
def test_schedules_read_back(method: str, name: str, nodes: int, bound: int | None, order: list[int]) -> None:
    schedule = Schedule(tuple(OpId(i) for i in order), method, bound, None, nodes)
    assert parse_schedule(print_schedule(schedule)) == schedule


@given(st.floats(allow_nan=False), st.floats(width=32))
def test_numbers_keep_every_bit(alpha: float, scale: float) -> None:
    graph = example()
    op = dataclasses.replace(graph.ops[0], attrs=LeakyRelu(alpha))
    tensor = dataclasses.replace(graph.tensors[0], quant=Quant((scale,), (0,)))
    changed = dataclasses.replace(graph, tensors=(tensor, *graph.tensors[1:]), ops=(op, *graph.ops[1:]))
    back = parse_graph(print_graph(changed, data=True))
    quant = back.tensors[0].quant
    assert back.ops[0].attrs == op.attrs
    assert quant is not None
    assert quant.scale[0] == scale or math.isnan(scale)


@pytest.mark.models
def test_real_models_read_back(models_dir: Path) -> None:
    for path in sorted(models_dir.glob("*.tflite")):
        if path.stat().st_size < SMALL:
            for graph in read_tflite(path).graphs:
                assert parse_graph(print_graph(graph, data=True)) == graph, path.name


def replaced(old: str, new: str) -> str:
    text = print_graph(example(), data=True)
    assert old in text
    return text.replace(old, new, 1)


REFUSED = {
    "nothing": ("", "line 1: expected 'graph', found end of text"),
    "digests": (print_graph(example()), "line 1: expected a graph with its data (print with data=True), found elided"),
    "no end": (replaced("\nend\n", "\n"), "line 12: expected a tensor such as %3, found end of text"),
    "more after the end": (replaced("\nend\n", "\nend\nmore"), "expected end of text, found more"),
    "unknown operator": (replaced("SPLIT(", "SPLAT("), "line 9: expected an operator, or input"),
    "unknown element type": (replaced(": int32[", ": int33["), "line 4: expected an element type, found int33"),
    "unknown padding": (replaced("=VALID", "=LOOSE"), "line 8: expected one of SAME, VALID, found LOOSE"),
    "missing attribute": (replaced("stride_w=2, ", ""), "line 8: expected 'stride_w', found stride_h"),
    "fractional stride": (replaced("stride_w=2", "stride_w=2.5"), "line 8: expected a whole number, found 2.5"),
    "defined twice": (
        replaced('%3 "axis"', '%0 "axis"'),
        "line 4: expected a tensor that is not defined yet",
    ),
    "a hole": (replaced('%8 "unused"', '%9 "unused"'), "expected a definition of tensor %8"),
    "bad base64": (replaced("base64:AAEC", "base64:AAE"), "line 3: expected base64 data"),
    "bad name": (replaced('"unused"', '"\\x"'), "line 7: expected a quoted string"),
    "open quote": (replaced('"unused"', '"unused'), "line 7: expected '=', found \""),
    "no type": (replaced(" : bool[2,2]", ""), "line 7: expected"),
    "no name": (replaced(' named "nothing"', ""), "expected 'named' and the operator's name"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_parser_refuses(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        parse_graph(text)


def test_damaged_text_is_refused_with_its_line() -> None:
    """Characters lost, doubled or changed: a value or one ModelError, nothing else."""
    whole = print_plan(example_plan(), data=True)
    rng = random.Random(7)
    refused = 0
    for _ in range(2000):
        at = rng.randrange(len(whole))
        piece = rng.choice(("", whole[at] * 2, rng.choice('%":=()[]{}#,+-\\ 9\n'), "1" * 5000))
        try:
            parse_plan(whole[:at] + piece + whole[at + 1 :])
        except ModelError as error:
            assert re.match(r"line \d+: expected .*, found .*\Z", str(error))
            refused += 1
    assert refused > 1000


def test_comments_and_empty_lines_are_skipped() -> None:
    text = print_graph(example(), data=True).replace("\n", "  # why\n\n   \n")
    assert parse_graph(text) == example()
