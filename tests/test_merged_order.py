# SPDX-License-Identifier: Apache-2.0
"""Orders for merged tensors: valid, and worth it where an operator in place lets a branch wait."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from test_streaming import networks
from thimble.compile import compile_model
from thimble.ir import Model
from thimble.kernel import Flavour
from thimble.lower import lowered
from thimble.merged_order import merged_order
from thimble.pipeline import load
from thimble.rewrites import compilable
from thimble.schedule import schedule_peak
from thimble.streaming import Segment
from thimble.verify import verify_schedule
from thimble.zoo.builder import Builder


@given(model=networks())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_orders_are_valid(model: Model) -> None:
    graph = compilable(model)
    units = lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)
    found = merged_order(graph, units, scratch={}, keep_inputs=False, alignment=1)
    if found is not None:
        verify_schedule(graph, found)
        assert sorted(found.order) == [op.id for op in graph.ops]
        assert schedule_peak(graph, found) > 0


def test_nothing_to_merge() -> None:
    build = Builder("plain", 1)
    x = build.input((1, 6, 6, 4))
    graph = build.model([x], [build.conv(x, 4, 3, 1)]).main
    units = lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)
    assert merged_order(graph, units, scratch={}, keep_inputs=False, alignment=1) is None


@pytest.mark.models
def test_a_densenet_gains(models_dir: Path) -> None:
    """Its best order for separate tensors keeps two copies of what is normalized; that for merged ones does not."""
    model = load(models_dir / "densenet40_12_cifar10_int8.tflite")
    arenas = [compile_model(model, flavour=Flavour.PORTABLE, rung=rung).arena_bytes for rung in (2, 3)]
    assert arenas[1] < arenas[0] * 0.8
