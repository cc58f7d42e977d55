# SPDX-License-Identifier: Apache-2.0
"""Rung 6: the points of the front, and what they are made of."""

from __future__ import annotations

from functools import cache

import pytest

from thimble.ir import Graph, OpId
from thimble.kernel import Flavour
from thimble.lower import traits_of
from thimble.patches import extra_macs
from thimble.recompute import MOST_STRIPS, front
from thimble.rewrites import compilable
from thimble.streaming import Life, Segment, partitions, row_rules
from thimble.zoo.builder import Builder


@cache
def chain() -> Graph:
    """Three inverted bottlenecks, each with a stride of 2: each is a segment of its own."""
    build = Builder("bottlenecks", 1)
    start = x = build.input((1, 48, 48, 3))
    for channels in (4, 6, 8):
        x = build.conv(build.depthwise(build.conv(x, 6 * channels), 3, 2), channels)
    return compilable(build.model([start], [x]))


def order() -> tuple[OpId, ...]:
    return tuple(op.id for op in chain().ops)


def peak(point: tuple[Segment, ...], life: Life) -> int:
    at, most = 0, 0
    for part in point:
        most = max(most, life.peak(at, at + len(part.ops), part) if part.order else life.plain(at))
        at += len(part.ops)
    return most


def extra(point: tuple[Segment, ...]) -> int:
    rules = {op: row_rules(chain(), op) for op in order()}
    return sum(extra_macs(chain(), patch, rules) for part in point for patch in part.patches)


@pytest.mark.parametrize("whole", [False, True])
def test_points_need_less_for_more(whole: bool) -> None:
    """Input and output lie elsewhere; every operator is there once; less memory costs more."""
    graph = chain()
    ends = {*graph.inputs, *graph.outputs}
    traits = traits_of(graph, Flavour.PORTABLE)
    life = Life(graph, order(), False, traits, ends, whole)
    (parts, *_) = partitions(graph, order(), traits=traits, elsewhere=ends)
    points = [parts, *front(graph, parts, traits=traits, elsewhere=ends, whole=whole)]
    assert len(points) > 3
    peaks, prices = [peak(point, life) for point in points], [extra(point) for point in points]
    assert peaks == sorted(set(peaks), reverse=True)
    assert prices == sorted(prices)
    for point in points:
        assert tuple(op for part in point for op in part.ops) == order()
        assert all(patch.strips <= MOST_STRIPS for part in point for patch in part.patches)
    within = list(front(graph, parts, traits=traits, elsewhere=ends, whole=whole, most=prices[-1] // 2))
    assert within == [point for point, price in zip(points[1:], prices[1:], strict=True) if price <= prices[-1] // 2]


def test_neighbours_become_one_patch() -> None:
    """What lies between segments need not be there whole: a patch may reach over all of them."""
    graph = chain()
    ends = {*graph.inputs, *graph.outputs}
    traits = traits_of(graph, Flavour.PORTABLE)
    parts = tuple(cut for op in order() for cut in partitions(graph, [op], traits=traits)[0])
    points = list(front(graph, parts, traits=traits, elsewhere=ends))
    assert any(len(part.ops) > 1 for part in points[-1])
    assert max(len(patch.ops) for point in points for part in point for patch in part.patches) > 1
