# SPDX-License-Identifier: Apache-2.0
"""Lowering of SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: which boxes of one operand are which of the other."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from thimble.ir import Tensor
from thimble.ops.strided import Block, block


@dataclass(frozen=True, slots=True)
class Box:
    """Elements `group * size + phase` of an axis that is cut into groups, for a range of each."""

    group: int
    groups: int
    phase: int
    phases: int


def woven(
    batched: Tensor, plain: Tensor, sizes: tuple[int, ...], margins: tuple[int, ...]
) -> tuple[tuple[Block, Block], ...]:
    """Pairs of equal blocks: of the tensor whose batch holds the phases, and of the one where they are woven together.

    Args:
        batched: `[phases... N,groups...,rest...]`.
        plain: `[N,spatial...,rest...]`.
        sizes: of a group, per spatial axis.
        margins: two per spatial axis: what lies before and behind the plain tensor in the woven one.
    """
    count = len(sizes)
    batch, groups = plain.shape[0], batched.shape[1 : count + 1]
    phases = block(batched, (*sizes, batch, *groups, *plain.shape[count + 1 :]))
    pairs = (axis for i in range(count) for axis in (count + 1 + i, i))
    cells = phases.turned(count, *pairs, *range(2 * count + 1, len(phases.shape)))
    axes = [boxes(margins[2 * i], plain.shape[i + 1], sizes[i]) for i in range(count)]
    return tuple(_pair(cells, block(plain), sizes, margins, chosen) for chosen in itertools.product(*axes))


def _pair(
    cells: Block, plain: Block, sizes: tuple[int, ...], margins: tuple[int, ...], chosen: tuple[Box, ...]
) -> tuple[Block, Block]:
    for i, (box, size) in enumerate(zip(chosen, sizes, strict=True)):
        axis = 2 * i + 1
        cells = cells.part(axis, box.group, box.groups).part(axis + 1, box.phase, box.phases)
        first = box.group * size + box.phase - margins[2 * i]
        plain = plain.part(axis, first, plain.shape[axis] - first).grid(axis, box.groups, box.phases, size)
    return cells, plain


def boxes(first: int, count: int, size: int) -> tuple[Box, ...]:
    """Boxes that make up elements `[first, first + count)` of groups of `size`: few of them, and each element once."""
    segments, phases = _segments(first, first + count, size), _phases(first, first + count, size)
    return segments if len(segments) <= len(phases) else phases


def _segments(first: int, end: int, size: int) -> tuple[Box, ...]:
    """What is left of the first group, the whole ones, and the rest in the last."""
    found = []
    whole = -(-first // size)
    if first % size and first < end:
        found.append(Box(first // size, 1, first % size, min(whole * size, end) - first))
    if end // size > whole:
        found.append(Box(whole, end // size - whole, 0, size))
    if end % size and end // size >= whole:
        found.append(Box(end // size, 1, 0, end % size))
    return tuple(found)


def _phases(first: int, end: int, size: int) -> tuple[Box, ...]:
    """For each phase the groups that have it."""
    spans = ((p, math.ceil((first - p) / size), math.ceil((end - p) / size)) for p in range(size))
    return tuple(Box(start, stop - start, phase, 1) for phase, start, stop in spans if stop > start)
