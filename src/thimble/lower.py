# SPDX-License-Identifier: Apache-2.0
"""Graph and segments to Program: operators become kernel calls, and their tensors get their places.

Graph ─lowered→ kernel calls per operator ─arena_problem→ Problem ─pack→ Solution ─assembled→ Program
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from thimble.errors import InternalError, UnsupportedOperatorError
from thimble.ir import Graph, Kind, Op, OpId, Tensor, TensorId
from thimble.kernel import Choice, Fields, Flavour, KernelCall, Site, Slice, View
from thimble.memory import Schedule, Solution
from thimble.patches import Patch, interior, strip_columns, strip_of, turn_order
from thimble.program import FLASH, POSITION_BYTES, Access, ArenaBlock, ByRow, Program, Step, Stream
from thimble.slices import Slices, sliced_calls
from thimble.streaming import Segment, Traits, accumulates, row_rules

ALIGNMENT = 4
"""Least alignment of a tensor, so that kernels may read words; wider elements are aligned to their size."""
SCRATCH_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Unit:
    """A segment with the kernel calls of each of its operators; `streamed` says whether they run row by row."""

    segment: Segment
    calls: tuple[tuple[KernelCall, ...], ...]
    streamed: bool = False

    def __hash__(self) -> int:
        """Cheap, so that what is known of a unit can be looked up by it."""
        return hash((self.segment.ops, self.segment.descending, self.streamed))

    @property
    def scratch(self) -> int:
        return max((call.scratch for calls in self.calls for call in calls), default=0)


@dataclass(frozen=True, slots=True)
class Slot:
    """Whose bytes a buffer of the packing problem is: an alias class of tensors, or the work space of an operator.

    `part` counts the blocks of rows of a tensor that is given up block by block.
    """

    tensors: tuple[TensorId, ...]
    op: OpId | None = None
    part: int = 0


def lowered(
    graph: Graph, segments: Sequence[Segment], flavour: Flavour, choices: Mapping[OpId, Choice] = MappingProxyType({})
) -> tuple[Unit, ...]:
    """The kernel calls of all operators, segment by segment; `choices` for those that get other kernels.

    Raises:
        UnsupportedOperatorError: names every operator that cannot be compiled, once per kind.
    """
    units: list[Unit] = []
    refused: dict[str, str] = {}
    for part in segments:
        try:
            units.append(_unit(graph, part, [choices.get(op, Choice(flavour)) for op in part.ops]))
        except UnsupportedOperatorError as error:
            refused.setdefault(graph.ops[part.ops[0]].kind, str(error))
    if refused:
        raise UnsupportedOperatorError("; ".join(refused.values()))
    return tuple(units)


def traits_of(
    graph: Graph, flavour: Flavour, choices: Mapping[OpId, Choice] = MappingProxyType({})
) -> dict[OpId, Traits]:
    """What the kernels of each operator that can run by rows are like."""
    found = {}
    for op in graph.ops:
        if row_rules(graph, op.id) is not None:
            calls = _calls(graph, op, choices.get(op.id, Choice(flavour)), by_row=True)
            found[op.id] = traits_of_calls(calls)
    return found


def traits_of_calls(calls: Sequence[KernelCall]) -> Traits:
    """What the kernels of an operator are like that are called for a row."""
    over = (calls[0].reads[read].tensor.id for read, _ in calls[0].in_place) if len(calls) == 1 else ()
    return Traits(work_space_of(calls), tuple(over))


def work_space_of(calls: Sequence[KernelCall]) -> int:
    """Bytes of work space, the most of any call."""
    return max((call.scratch for call in calls), default=0)


def _unit(graph: Graph, part: Segment, choices: Sequence[Choice]) -> Unit:
    if part.slices:
        return Unit(part, (_sliced(graph, graph.ops[part.ops[0]], choices[0], part.slices),))
    if len(part.ops) == 1:
        calls = _calls(graph, graph.ops[part.ops[0]], choices[0])
        in_place = len(calls) == 1 and bool(calls[0].in_place)
        alike = _in_row_order(calls) and not part.descending and not accumulates(graph, part.ops[0])
        if not part.order or in_place or alike:
            return Unit(replace(part, descending=False), (calls,))
    strips = {op: (patch, place) for patch in part.patches for place, op in enumerate(patch.ops)}
    by_row = tuple(
        _strip_calls(graph, *strips[op], choice) if op in strips else _calls(graph, graph.ops[op], choice, by_row=True)
        for op, choice in zip(part.ops, choices, strict=True)
    )
    return Unit(part, by_row, streamed=True)


def _sliced(graph: Graph, op: Op, choice: Choice, slices: Slices) -> tuple[KernelCall, ...]:
    """The calls on slices; by portable kernels where others can't."""
    for other in (choice, Choice(Flavour.PORTABLE, choice.work_space), Choice(Flavour.PORTABLE)):
        calls = sliced_calls(graph, op, other, slices)
        if calls is not None:
            return calls
    raise InternalError(f"{op.label} cannot work on slices")


def slices_of(units: Sequence[Unit]) -> dict[TensorId, Slice]:
    """All tensors that are parts of others."""
    return {t: place for unit in units for t, place in (unit.segment.slices or {}).items()}


def _strip_calls(graph: Graph, patch: Patch, place: int, choice: Choice) -> tuple[KernelCall, ...]:
    """An operator of a patch: a call for one row of each strip. Interior tensors are as wide as a strip."""
    op = graph.ops[patch.ops[place]]
    tensors, result = graph.operands(op), graph.results(op)[0]
    x = tensors[0]
    assert x is not None
    flavour = Flavour.PORTABLE if choice.flavour.calls_cmsis_nn else choice.flavour
    found = []
    for spans in strip_columns(graph, patch):
        strip = strip_of(op, tensors, result, (spans[place], spans[place + 1]))
        inputs = (_columns(x, spans[place]), *tensors[1:])
        site = Site(op.label, inputs, (_columns(result, spans[place + 1]),), flavour, choice.work_space, by_row=True)
        calls = strip.attrs.lower(site)
        if len(calls) != 1 or not calls[0].rows:
            raise site.unsupported("strips of columns")
        (call,) = calls
        wide = {"in": x if place == 0 else None, "out": result if op.id == patch.last else None}
        fields = tuple((name, _widened(value, wide.get(name))) for name, value in call.fields)
        reads, writes = (_strip_view(x, spans[place]),), (_strip_view(result, spans[place + 1]),)
        found.append(replace(call, fields=fields, reads=reads, writes=writes, in_place=()))
    return tuple(found)


def _columns(tensor: Tensor, span: tuple[int, int]) -> Tensor:
    return replace(tensor, shape=(1, tensor.shape[1], span[1] - span[0], tensor.shape[3]))


def _strip_view(tensor: Tensor, span: tuple[int, int]) -> View:
    _, height, width, channels = tensor.shape
    item = tensor.nbytes // (height * width * channels)
    shape, strides = (height, span[1] - span[0], channels), (width * channels * item, channels * item, item)
    return View(tensor, span[0] * channels * item, shape, strides)


def _widened(image: Any, tensor: Tensor | None) -> Any:
    """The parameters of a strip of an image whose rows are as far apart as those of the whole."""
    if tensor is None:
        return image
    return tuple((name, tensor.shape[2] * tensor.shape[3] if name == "row" else number) for name, number in image)


def _in_row_order(calls: tuple[KernelCall, ...]) -> bool:
    """Whether an operator reads and writes rows in order as it is, so that its result may follow its operand's rows."""
    return len(calls) == 1 and not calls[0].scattered and bool(calls[0].rows or calls[0].in_place)


@dataclass(frozen=True, slots=True)
class _Asking(Site):
    """A site that takes down how much work space was asked for."""

    asked: list[int] = field(default_factory=list)

    def allows(self, work_space: int) -> bool:
        self.asked.append(work_space)
        return Site.allows(self, work_space)


Known = dict[tuple[OpId, Flavour, bool], list[tuple[float, float, tuple[KernelCall, ...]]]]
"""Calls by operator, flavour and whether for rows, each with the limits [from, to) of work space that lead to them."""


@lru_cache(maxsize=4)
def _known(graph: Graph) -> Known:
    """What has been lowered of a graph so far: the same is asked for again and again."""
    return {}


def _calls(graph: Graph, op: Op, choice: Choice, *, by_row: bool = False) -> tuple[KernelCall, ...]:
    """An operator's calls; with `by_row` calls for one row, unless its kernel can be told which row to compute."""
    flavour = choice.flavour
    if by_row and flavour.calls_cmsis_nn:
        flavour = Flavour.PORTABLE  # CMSIS-NN computes whole layers only
    limit = math.inf if choice.work_space is None else choice.work_space
    known = _known(graph).setdefault((op.id, flavour, by_row), [])
    for least, beyond, calls in known:
        if least <= limit < beyond or limit == beyond == math.inf:
            return calls
    site = _Asking(op.label, graph.operands(op), graph.results(op), flavour, choice.work_space, by_row)
    calls = _fresh_calls(graph, op, site)
    least = max((size for size in site.asked if size <= limit), default=0)
    beyond = min((size for size in site.asked if size > limit), default=math.inf)
    known.append((least, beyond, calls))
    return calls


def _fresh_calls(graph: Graph, op: Op, site: Site) -> tuple[KernelCall, ...]:
    calls = op.attrs.lower(site)
    if not site.by_row or (len(calls) == 1 and calls[0].rows):
        return calls
    rules = row_rules(graph, op.id) or {}
    inputs = tuple(_one_row(t) if t is not None and t.id in rules else t for t in site.inputs)
    return op.attrs.lower(replace(site, inputs=inputs, outputs=tuple(map(_one_row, site.outputs))))


def _one_row(tensor: Tensor) -> Tensor:
    return replace(tensor, shape=(1, 1, *tensor.shape[2:]))


def row_bytes(tensor: Tensor) -> int:
    """Bytes of a row of an image."""
    return tensor.nbytes // tensor.shape[1]


def rings_of(units: Sequence[Unit]) -> dict[TensorId, int]:
    """Rows that are kept of each tensor inside a segment, where these are not all."""
    return {t: rows for unit in units if unit.streamed for t, rows in (unit.segment.rings or {}).items()}


def variables_of(graph: Graph) -> tuple[Tensor, ...]:
    """Tensors that keep their values between inferences."""
    return tuple(t for t in graph.tensors if t.kind is Kind.VARIABLE and t.nbytes > 0)


def alignment_of(tensor: Tensor) -> int:
    """Where a tensor may start: at multiples of this many bytes."""
    return max(ALIGNMENT, min(tensor.dtype.bits // 8, SCRATCH_ALIGNMENT))


def assembled(
    name: str, graph: Graph, schedule: Schedule, units: Sequence[Unit], slots: tuple[Slot, ...], solution: Solution
) -> Program:
    """The program of one arena from calls and offsets."""
    offsets = dict(zip(slots, solution.offsets, strict=True))
    slices = slices_of(units)
    places = {
        tensor: (0, offset + (slices[tensor].offset if tensor in slices else 0))
        for slot, offset in offsets.items()
        for tensor in slot.tensors
        if slot.part == 0
    }
    rings = rings_of(units)

    narrow = [t for unit in units for patch in unit.segment.patches for t in interior(graph, patch)]

    def access(view: View) -> Access:
        arena, offset = places.get(view.tensor.id, (FLASH, 0))
        return Access(view, arena, offset - view.offset if view.tensor.id in narrow else offset)

    steps: list[Step] = []
    streams: list[Stream] = []
    for unit in units:
        first = len(steps)
        for op, calls in zip(unit.segment.ops, unit.calls, strict=True):
            for call in calls:
                scratch = (0, offsets[Slot((), op)]) if call.scratch else None
                by_row = ByRow.NO if not unit.streamed else ByRow.KERNEL if call.rows else ByRow.POINTERS
                ringed = replace(call, fields=_with_rings(call, rings)) if by_row is ByRow.KERNEL else call
                reads, writes = tuple(map(access, call.reads)), tuple(map(access, call.writes))
                steps.append(Step(op, ringed, reads, writes, scratch, by_row))
        if unit.streamed:
            streams.append(_stream(graph, unit, first))
    alignment = max((alignment_of(t) for t in graph.tensors), default=ALIGNMENT)
    if any(unit.scratch for unit in units):
        alignment = max(alignment, SCRATCH_ALIGNMENT)
    size, position = solution.height, None
    if any(step.call.hands_over for step in steps):
        position = -(-size // ALIGNMENT) * ALIGNMENT
        size = position + POSITION_BYTES
    return Program(
        name=name,
        graph=graph,
        schedule=schedule,
        arenas=(ArenaBlock("arena", size, alignment),),
        steps=tuple(steps),
        places=tuple(places.items()),
        variables=tuple((t.id, initial_bytes(t)) for t in variables_of(graph)),
        streams=tuple(streams),
        rings=tuple(rings.items()),
        strips=tuple(narrow),
        slices=tuple(sorted(slices.items())),
        position=position,
    )


def _stream(graph: Graph, unit: Unit, first: int) -> Stream:
    """The members of a segment in the order of their turns: operators, and each strip of those in patches."""
    part = unit.segment
    if not part.patches:
        position = {op: index for index, op in enumerate(part.ops)}
        order = tuple(position[op] for op in part.order)
        return Stream(first, tuple(len(calls) for calls in unit.calls), order, part.descending)
    inside = {op: patch for patch in part.patches for op in patch.ops}
    members: list[int] = []
    position = {}
    for op, calls in zip(part.ops, unit.calls, strict=True):
        position[op] = len(members)
        members += [1] * len(calls) if op in inside else [len(calls)]
    rules = {op: row_rules(graph, op) for op in part.ops}
    done = dict.fromkeys(part.ops, 0)
    turns: list[tuple[int, int]] = []
    for op in part.order:
        turn, done[op] = done[op], done[op] + 1
        if op not in inside:
            turns.append((position[op], turn))
            continue
        patch = inside[op]
        taken = turn_order(graph, patch, rules, turn)
        turns += ((position[patch.ops[place]] + strip, row) for place, strip, row in taken)
    return Stream(first, tuple(members), tuple(m for m, _ in turns), rows=tuple(row for _, row in turns))


def _with_rings(call: KernelCall, rings: dict[TensorId, int]) -> Fields:
    """The parameters of a kernel for images, with the rings of its input and output in them."""
    images = {"in": rings.get(call.reads[0].tensor.id), "out": rings.get(call.writes[0].tensor.id)}
    return _replaced(call.fields, images)


def _replaced(fields: Fields, images: Mapping[str, int | None]) -> Fields:
    return tuple((name, _with_ring(value, images.get(name), images)) for name, value in fields)


def _with_ring(value: object, ring: int | None, images: Mapping[str, int | None]) -> Any:
    if not isinstance(value, tuple) or not value or not isinstance(value[0], tuple):
        return value
    if ring is not None:
        return tuple((name, ring if name == "ring" else number) for name, number in value)
    return _replaced(value, images)


def initial_bytes(tensor: Tensor) -> bytes:
    """What a variable holds before the first inference: its data if it has any, else zero points (int8) or zeros."""
    if tensor.data is not None:
        return tensor.data
    zero = tensor.quant.zero_point[0] if tensor.quant is not None and tensor.dtype.label == "int8" else 0
    return bytes([zero & 0xFF]) * tensor.nbytes
