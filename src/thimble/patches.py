# SPDX-License-Identifier: Apache-2.0
"""Patches: a chain of operators that is computed strip by strip, a few rows at a time (rung 6).

Inside a segment a patch takes the place of its operators: a turn of it computes a band of rows of its last result. Of
the tensors between its operators only one strip of columns is there, and only the rows of a window; what two strips or
two bands both need is computed twice.

    columns of the result    |   strip 0   |   strip 1   |
    of what it comes from    |  strip 0  . |. strip 1    |     the dotted columns are computed twice
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from thimble.ir import Graph, Op, OpId, Rows, Tensor, TensorId

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Patch:
    """A chain of operators, each of which reads the one before; `band` rows of the result are computed per turn."""

    ops: tuple[OpId, ...]
    strips: int
    band: int

    @property
    def last(self) -> OpId:
        return self.ops[-1]


def interior(graph: Graph, patch: Patch) -> tuple[TensorId, ...]:
    """The tensors between the operators of a patch."""
    return tuple(graph.ops[op].outputs[0] for op in patch.ops[:-1])


def source(graph: Graph, patch: Patch) -> TensorId:
    """What a patch is computed from."""
    tensor = graph.ops[patch.ops[0]].inputs[0]
    assert tensor is not None
    return tensor


def is_chain(graph: Graph, ops: Sequence[OpId], rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> bool:
    """Whether operators slide windows, each over the result of the one before."""
    for before, op in zip((None, *ops), ops, strict=False):
        item, own = graph.ops[op], rules[op]
        if own is None or len(own) != 1 or item.inputs[0] not in own:
            return False
        if item.attrs.sliding(graph.operands(item)) is None or item.attrs.accumulates(
            graph.operands(item), graph.results(item)[0]
        ):
            return False
        if before is not None and item.inputs[0] != graph.ops[before].outputs[0]:
            return False
    return True


def turns(graph: Graph, patch: Patch) -> int:
    """Bands of the result."""
    return -(-_height(graph, patch.last) // patch.band)


def source_rows(graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> Rows:
    """Rows of the source that each turn reads."""
    return tuple(spans[0] for spans in _needed(graph, patch, rules))


def rows_kept(graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> dict[TensorId, int]:
    """Rows of each interior tensor that are kept: those of the widest window of who reads it."""
    found = {}
    for op in patch.ops[1:]:
        ((tensor, rows),) = (rules[op] or {}).items()
        found[tensor] = max(end - first for first, end in rows)
    return found


@lru_cache(maxsize=1024)
def strip_columns(graph: Graph, patch: Patch) -> tuple[tuple[Span, ...], ...]:
    """Per strip the columns of the source, of each interior tensor, and of the result."""
    width = graph.results(graph.ops[patch.last])[0].shape[2]
    found = []
    windows = [_across(graph, op) for op in reversed(patch.ops)]
    for strip in range(patch.strips):
        spans = [(width * strip // patch.strips, width * (strip + 1) // patch.strips)]
        for stride, left, reach, columns in windows:
            first, end = spans[0]
            start, stop = first * stride - left, (end - 1) * stride - left + reach
            spans.insert(0, (min(max(0, start), columns), max(0, min(columns, stop))))
        found.append(tuple(spans))
    return tuple(found)


def _across(graph: Graph, op: OpId) -> tuple[int, int, int, int]:
    """Of an operator's window: stride, columns before the image, reach; and the image's columns."""
    item = graph.ops[op]
    tensors = graph.operands(item)
    slides, x = item.attrs.sliding(tensors), tensors[0]
    assert slides is not None and x is not None
    return slides.stride[1], slides.before[1], (slides.kernel[1] - 1) * slides.dilation[1] + 1, x.shape[2]


def strip_bytes(graph: Graph, patch: Patch) -> dict[TensorId, int]:
    """Bytes of a row of the widest strip of each interior tensor."""
    strips = strip_columns(graph, patch)
    found = {}
    for place, tensor in enumerate(interior(graph, patch), 1):
        pixel = graph.tensors[tensor].nbytes // math.prod(graph.tensors[tensor].shape[1:3])
        found[tensor] = max(spans[place][1] - spans[place][0] for spans in strips) * pixel
    return found


def turn_order(
    graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None], turn: int
) -> Iterator[tuple[int, int, int]]:
    """(operator's place in the patch, strip, row): what a turn computes, in order."""
    needed = _needed(graph, patch, rules)[turn][1:]
    for strip in range(patch.strips):
        following = [first for first, _ in needed]
        for row in range(*needed[-1]):
            yield from ((place, strip, number) for place, number in _demand(patch, rules, following, row + 1))


def _demand(
    patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None], following: list[int], end: int
) -> Iterator[tuple[int, int]]:
    """Rows up to `end` of the last operator, each right after the rows that it needs; `following` are the next rows."""
    waiting = [(len(patch.ops) - 1, end)]
    while waiting:
        place, wanted = waiting[-1]
        row = following[place]
        if row >= wanted:
            waiting.pop()
            continue
        (rows,) = (rules[patch.ops[place]] or {}).values()
        if place and following[place - 1] < rows[row][1]:
            waiting.append((place - 1, rows[row][1]))
            continue
        following[place] += 1
        yield place, row


def extra_macs(graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> int:
    """Multiply-accumulates beyond those of computing every row and column once."""
    strips, rows, extra = strip_columns(graph, patch), _rows_computed(graph, patch, rules), 0
    for place, op in enumerate(patch.ops):
        item = graph.ops[op]
        _, height, width, _ = graph.results(item)[0].shape
        columns = sum(spans[place + 1][1] - spans[place + 1][0] for spans in strips)
        macs = item.attrs.macs(graph.operands(item), graph.results(item))
        extra += macs * (rows[op] * columns - height * width) // (height * width)
    return extra


def row_rates(graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> dict[OpId, float]:
    """Rows that each operator computes, relative to its result's height."""
    return {op: rows / _height(graph, op) for op, rows in _rows_computed(graph, patch, rules).items()}


def _rows_computed(graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None]) -> dict[OpId, int]:
    rows = dict.fromkeys(patch.ops, 0)
    for spans in _needed(graph, patch, rules):
        for op, (first, end) in zip(patch.ops, spans[1:], strict=True):
            rows[op] += end - first
    return rows


def strip_of(op: Op, tensors: tuple[Tensor | None, ...], result: Tensor, columns: tuple[Span, Span]) -> Op:
    """The operator as it computes some columns of its result from some of its operand's, with margins to match."""
    slides = op.attrs.sliding(tensors)
    x = tensors[0]
    assert slides is not None and x is not None
    (first, end), (begin, stop) = columns
    reach = [(k - 1) * d + 1 for k, d in zip(slides.kernel, slides.dilation, strict=True)]
    left = first - (begin * slides.stride[1] - slides.before[1])
    right = (stop - 1) * slides.stride[1] - slides.before[1] + reach[1] - end
    bottom = (result.shape[1] - 1) * slides.stride[0] - slides.before[0] + reach[0] - x.shape[1]
    margins = (slides.before[0], max(0, bottom), left, max(0, right))
    return replace(op, attrs=replace(op.attrs, margins=margins))  # type: ignore[call-arg]


def _needed(
    graph: Graph, patch: Patch, rules: Mapping[OpId, dict[TensorId, Rows] | None]
) -> tuple[tuple[Span, ...], ...]:
    """Per turn the rows of the source and of every operator's result that it needs."""
    windows = tuple(rows for op in patch.ops for rows in (rules[op] or {}).values())
    return _needed_by(windows, _height(graph, patch.last), patch.band)


@lru_cache(maxsize=1024)
def _needed_by(windows: tuple[Rows, ...], height: int, band: int) -> tuple[tuple[Span, ...], ...]:
    found = []
    for start in range(0, height, band):
        spans = [(start, min(start + band, height))]
        for rows in reversed(windows):
            first, end = spans[0]
            spans.insert(0, (rows[first][0], rows[end - 1][1]))
        found.append(tuple(spans))
    return tuple(found)


def _height(graph: Graph, op: OpId) -> int:
    return graph.results(graph.ops[op])[0].shape[1]
