# SPDX-License-Identifier: Apache-2.0
"""One program that calls every kernel of a flavour, joined from the one-operator models of the other tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain

import test_detection_post_process as detections
import test_kernels_leaner as leaner
import test_kernels_movement as movement
import test_kernels_sequences as sequences
import test_reference_convolution as convolution
import test_reference_elementwise as elementwise
import test_reference_models as memories
import test_reference_movement as moves
import test_reference_signal as signals
from joined import together
from thimble.arena import arena_problem
from thimble.errors import UnsupportedOperatorError
from thimble.ir import DType, Graph, Model, OpId, Quant
from thimble.kernel import Choice, Flavour, KernelCall, Site
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled, lowered
from thimble.memory import Solution
from thimble.pack import pack
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.streaming import Segment, row_rules, segment

U8 = DType.UINT8


def models() -> Iterator[Model]:
    """All small models for which there are references."""
    grids = [*convolution.GROUPS, convolution.legacy, *(getattr(moves, group) for group in moves.GROUPS)]
    yield from (made for _, made in chain.from_iterable(grid() for grid in grids))
    yield from (case.model for case in elementwise.CASES)
    yield from memories.MODELS.values()
    yield from signals.MODELS.values()
    yield from (made for made, _ in movement.more())
    yield detections.detector()
    yield from legacy()
    yield from (made for made, _ in leaner.LEANER.values())
    yield from sequences.models()


def legacy() -> Iterator[Model]:
    """Operators on uint8 that have kernels of their own for it."""
    half, quarter = Quant((0.5,), (128,)), Quant((0.25,), (0,))
    operands = [moves.free((2,), U8, half), moves.free((1,), U8, quarter)]
    yield moves.one("CONCATENATION", operands, U8, quarter)
    yield moves.one("RESIZE_BILINEAR", [moves.free((1, 2, 2, 3), U8, half), moves.fixed([4, 3])], U8, half)


@cache
def graphs() -> tuple[Graph, ...]:
    """Those that can be compiled at all, ready for it."""
    return tuple(made for made in map(_compilable, models()) if made is not None)


def _compilable(made: Model) -> Graph | None:
    try:
        return compilable(made)
    except UnsupportedOperatorError:
        return None


def calls_of(made: Graph, choice: Choice, *, by_row: bool = False) -> tuple[KernelCall, ...]:
    """The calls of a small graph with kernels of a choice; none where one of its operators cannot be compiled."""
    try:
        sites = [
            Site(op.label, made.operands(op), made.results(op), choice.flavour, choice.work_space, by_row)
            for op in made.ops
        ]
        return tuple(call for op, site in zip(made.ops, sites, strict=True) for call in op.attrs.lower(site))
    except UnsupportedOperatorError:
        return ()


def choices(made: Graph, flavour: Flavour) -> Iterator[Choice]:
    """The flavour's kernels with less and less work space."""
    choice = Choice(flavour)
    while True:
        yield choice
        scratch = max((call.scratch for call in calls_of(made, choice)), default=0)
        if not scratch or (choice.work_space is not None and scratch > choice.work_space):
            return  # none, or kernels that know no limits
        choice = Choice(flavour, scratch - 1)


@cache
def every_kernel(flavour: Flavour) -> Program:
    """The first models that use a kernel, side by side in one graph; row by row where that takes another kernel."""
    seen: set[str] = set()
    chosen: list[tuple[Graph, Choice, bool]] = []
    for made in graphs():
        for choice in choices(made, flavour):
            for by_row in (False, True):
                rows = by_row and all(row_rules(made, op.id) is not None for op in made.ops)
                kernels = {call.kernel for call in calls_of(made, choice, by_row=rows)}
                if kernels - seen:
                    chosen.append((made, choice, rows))
                    seen |= kernels
    joined = compilable(together([made for made, _, _ in chosen]))
    picked = [(choice, rows) for made, choice, rows in chosen for _ in made.ops]
    parts = [_segment(joined, op.id, rows) for op, (_, rows) in zip(joined.ops, picked, strict=True)]
    units = lowered(joined, parts, flavour, {op.id: c for op, (c, _) in zip(joined.ops, picked, strict=True)})
    problem, slots = arena_problem(joined, units)
    solution = pack(problem, budget=0)
    assert isinstance(solution, Solution)
    name = f"every_{flavour.name.lower()}"
    return assembled(name, joined, shipped_schedule(joined), units, slots, solution)


def _segment(graph: Graph, op: OpId, rows: bool) -> Segment:
    rules = {op: row_rules(graph, op)}
    made = segment(graph, [op], rules, set(graph.ops[op].outputs)) if rows else None
    return made or Segment((op,))
