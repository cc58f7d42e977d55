# SPDX-License-Identifier: Apache-2.0
"""Plans and orders written into a file: nothing else changes, and TFLM reads what was meant."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import pytest

from thimble import demo_model
from thimble.exporters.offline import PLAN_NAME, plan_bytes, with_plan
from thimble.importers.tflite import parse_tflite
from thimble.ir import Model, OpId
from tiny_tflite import ADD, encode, graph, operator, tensor


def everything_else(model: Model) -> Model:
    return dataclasses.replace(model, size_bytes=0, metadata=())


def tensors(model: Model) -> int:
    return sum(len(graph.tensors) for graph in model.graphs)


def shipped(model: Model) -> list[OpId]:
    return [op.id for op in model.main.ops]


def check_round_trip(data: bytes) -> None:
    model = parse_tflite(data, "x.tflite")
    offsets = [16 * i for i in range(tensors(model))]
    planned = with_plan(data, shipped(model), offsets)
    again = parse_tflite(planned, "x.tflite")
    assert everything_else(again) == everything_else(model)
    assert again.metadata == (*model.metadata, (PLAN_NAME.decode(), plan_bytes(offsets)))
    assert planned.endswith(data)  # the old file is there as it was
    replaced = parse_tflite(with_plan(planned, shipped(model), offsets[::-1]), "x.tflite")
    assert replaced.metadata == (*model.metadata, (PLAN_NAME.decode(), plan_bytes(offsets[::-1])))
    removed = parse_tflite(with_plan(planned, shipped(model), None), "x.tflite")
    assert removed.metadata == model.metadata and everything_else(removed) == everything_else(model)


def test_the_shipped_model_keeps_everything_else() -> None:
    check_round_trip(demo_model().read_bytes())


@pytest.mark.models
def test_every_shared_model_keeps_everything_else(models_dir: Path) -> None:
    for path in sorted(models_dir.glob("*.tflite")):
        check_round_trip(path.read_bytes())


@pytest.mark.models
def test_operators_move_and_nothing_else_does(models_dir: Path) -> None:
    data = (models_dir / "simple_add_model.tflite").read_bytes()
    assert parse_tflite(with_plan(data, [OpId(0)], None), "x").main.ops == parse_tflite(data, "x").main.ops
    data = (models_dir / "pretrainedResnet_quant.tflite").read_bytes()
    before = parse_tflite(data, "x.tflite").main
    order = shipped(parse_tflite(data, "x.tflite"))
    order[5], order[6] = order[6], order[5]  # the two branches of the second residual block
    after = parse_tflite(with_plan(data, order, None), "x.tflite").main
    assert [op.name for op in after.ops] == [before.ops[i].name for i in order]
    assert after.tensors == before.tensors


def outside(place: int, content: bytes) -> bytes:
    """A model that adds a constant kept at the absolute offset `place`."""
    tensors = [tensor(b"x", (12,)), tensor(b"c", (12,), buffer=1), tensor(b"y", (12,))]
    return encode(
        {
            0: ("I", 3),
            1: [{0: ("b", ADD), 3: ("i", ADD)}],
            2: [graph(tensors, (0,), (2,), [operator(0, (0, 1), (2,))])],
            4: [{}, {1: ("Q", place), 2: ("Q", len(content))}],
        }
    )


def test_buffers_kept_behind_the_tables_move_along() -> None:
    """Models above 2 GB keep constants behind the tables, by absolute offset (`Buffer.offset`, `Buffer.size`)."""
    content = bytes(range(12))
    data = outside(0, content)
    data = outside(len(data), content) + content
    assert parse_tflite(data, "x.tflite").main.tensors[1].data == content
    model = parse_tflite(data, "x.tflite")
    again = parse_tflite(with_plan(data, shipped(model), [-1] * tensors(model)), "x.tflite")
    assert [t.data for t in again.main.tensors] == [t.data for t in model.main.tensors]


def test_plan_bytes_are_as_tflm_reads_them() -> None:
    assert struct.unpack("<IIIii", plan_bytes([32, -1])) == (1, 0, 2, 32, -1)
