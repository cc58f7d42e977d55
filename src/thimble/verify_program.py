# SPDX-License-Identifier: Apache-2.0
"""Runs a Program on a symbolic arena: every byte holds which byte of which tensor was last written there.

Every read must find its own bytes, and a call must not write what it is still reading. Like the other verifiers this
one imports nothing that it checks; it trusts only what the kernel calls say they read and write, which execution
under guards checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thimble.errors import InternalError
from thimble.ir import Graph, Kind, Tensor, TensorId
from thimble.ops.rows import columns_under
from thimble.program import FLASH, POSITION_BYTES, Access, ByRow, Program, Step, Stream

if TYPE_CHECKING:
    from thimble.kernel import Fields, Slice

NOBODY = -1
WAITING = -(1 << 62)  # owns the bytes that say where an inference stands
Bytes = npt.NDArray[np.int64]


def verify_program(program: Program) -> None:
    """Check a program against its graph.

    Raises:
        InternalError: a step reads bytes that are not there any more, writes outside its arena, writes what it reads,
            or misses an operator's result; the message names the first such step.
    """
    owners = [np.full(arena.size, NOBODY, np.int64) for arena in program.arenas]
    within = [np.zeros(arena.size, np.int64) for arena in program.arenas]
    graph = program.graph
    for tensor in graph.tensors:
        there = tensor.in_arena and tensor.id in graph.given
        if tensor.nbytes and (there or tensor.kind is Kind.VARIABLE):
            arena, offset = program.place(tensor)
            touched = np.arange(tensor.nbytes)
            _write(owners, within, tensor, arena, offset + touched, touched, "the start")
    if program.position is not None:
        owners[0][program.position : program.position + POSITION_BYTES] = WAITING
    memory = _Memory(owners, within, dict(program.rings), frozenset(program.strips), dict(program.slices))
    at = 0
    for stream in (*program.streams, None):
        for step in program.steps[at : stream.first if stream is not None else None]:
            _run(graph, memory, step)
        if stream is not None:
            _run_stream(program, memory, stream)
            at = stream.end
    _check_results(program, memory)
    waits = any(step.call.hands_over for step in program.steps)
    if int((owners[0] == WAITING).sum() if program.arenas else 0) != POSITION_BYTES * waits:
        raise InternalError("where the inference stands is overwritten, or nowhere")


@dataclass(frozen=True, slots=True)
class _Memory:
    """Per arena who owns each byte, and which of the owner's bytes it is; rings are the rows that are kept.

    `names` says of tensors that took over bytes of others, without a copy, as whose bytes these were written.
    """

    owners: list[Bytes]
    within: list[Bytes]
    rings: dict[TensorId, int]
    strips: frozenset[TensorId] = frozenset()
    slices: dict[TensorId, Slice] = field(default_factory=dict)
    names: dict[TensorId, tuple[Bytes, Bytes]] = field(default_factory=dict)


def _run(graph: Graph, memory: _Memory, step: Step) -> None:
    """A step as a whole, or, where its result starts within an operand that dies, row by row."""
    _check_step(graph, step)
    if step.call.hands_over:
        raise InternalError(f"{_name(step)} is not part of a stream")
    if step.call.view:
        _run_view(memory, step)
        return
    _check_distances(memory, step)
    if any(_meet(memory, read, write) for read in step.reads for write in step.writes) and len(step.writes) == 1:
        _run_rows(graph, memory, step)
        return
    for access in step.reads:
        _check_read(memory, access, step)
    _check_disjoint(memory, step)
    if step.scratch is not None:
        _smear(memory.owners, step)
    for access in step.writes:
        _write_access(memory, access, step)


def _run_view(memory: _Memory, step: Step) -> None:
    """A copy that is not executed: every byte must be in its place already, and is now a byte of both tensors."""
    (read,), (write,) = step.reads, step.writes
    _check_read(memory, read, step)
    there, wanted = (_where(memory, access, footprint(access)) for access in (read, write))
    if read.arena == FLASH or read.arena != write.arena or not np.array_equal(there, wanted):
        raise InternalError(
            f"{_name(step)} is not executed, but '{read.view.tensor.name}' is elsewhere than its result"
        )
    result = write.view.tensor
    owner, byte = memory.names.setdefault(result.id, (np.full(result.nbytes, result.id), np.arange(result.nbytes)))
    touched = footprint(write)
    owner[touched], byte[touched] = memory.owners[read.arena][there], memory.within[read.arena][there]


def _there(memory: _Memory, tensor: Tensor, arena: int, touched: Bytes, places: Bytes) -> npt.NDArray[np.bool_]:
    """Which bytes of a tensor are where they are looked for, by the names under which they were written."""
    owner, byte = memory.names.get(tensor.id, (None, None))
    ids, numbers = (tensor.id, touched) if owner is None or byte is None else (owner[touched], byte[touched])
    found: npt.NDArray[np.bool_] = memory.owners[arena][places] == ids
    found &= memory.within[arena][places] == numbers
    return found


def _check_distances(memory: _Memory, step: Step) -> None:
    """What a kernel is told of the distances in slices must be true: from run to run, or from pixel to pixel."""
    call = step.call
    told = dict(_images(call.fields))
    for number, access in enumerate((*step.reads, *step.writes)):
        tensor = access.view.tensor
        place = memory.slices.get(tensor.id)
        if place is None or place.run == tensor.nbytes:
            continue
        if call.moves:
            right = call.moves[number] == place.pitch and call.batch * place.run == tensor.nbytes
        else:
            image = told.get({0: "in", len(step.reads): "out"}.get(number, ""), {})
            size, pixel = access.view.itemsize, image.get("pixel")
            right = pixel is not None and (image["channels"] * size, pixel * size) == (place.run, place.pitch)
            right = right and image["row"] == image["width"] * pixel
        if not right:
            raise InternalError(f"{_name(step)} does not know how '{tensor.name}' lies within another tensor")


def _images(fields: Fields) -> Iterator[tuple[str, dict[str, Any]]]:
    """The images among a kernel's parameters, by name."""
    for name, value in fields:
        if isinstance(value, tuple) and value and isinstance(value[0], tuple):
            members = dict(value)
            if "pixel" in members:
                yield name, members
            else:
                yield from _images(value)


def _meet(memory: _Memory, read: Access, write: Access) -> bool:
    """Whether blocks of two different tensors overlap, but are not the same."""
    if read.arena == FLASH or read.arena != write.arena or read.view.tensor.id == write.view.tensor.id:
        return False
    if {read.view.tensor.id, write.view.tensor.id} & memory.slices.keys():
        one, other = (_where(memory, a, np.arange(a.view.tensor.nbytes)) for a in (read, write))
        return not np.array_equal(one, other) and bool(np.isin(one, other).any())
    first, second = (read.offset, read.view.tensor.nbytes), (write.offset, write.view.tensor.nbytes)
    return first != second and first[0] < second[0] + second[1] and second[0] < first[0] + first[1]


def _run_rows(graph: Graph, memory: _Memory, step: Step) -> None:
    """A kernel that goes through the rows in order: what a row needs is there when it is written."""
    output = step.writes[0].view.tensor
    if step.call.scattered or not (step.call.rows or step.call.in_place):
        raise InternalError(f"{_name(step)} overwrites what it reads, and does not go row by row")
    for row in range(output.shape[1]):
        _run_row(graph, memory, (step,), row)
    if step.scratch is not None:
        _smear(memory.owners, step)


def _run_stream(program: Program, memory: _Memory, stream: Stream) -> None:
    """Row by row, in the order that the stream says."""
    groups = [program.steps[at : at + n] for at, n in zip(stream.starts, stream.members, strict=True)]
    done = [0] * len(groups)
    for step in program.steps[stream.first : stream.end]:
        _check_step(program.graph, step)
    for turn, member in enumerate(stream.order):
        height = _turns(program.graph, groups[member][0])
        row = height - 1 - done[member] if stream.descending else done[member]
        row = stream.rows[turn] if stream.rows else row
        if not 0 <= row < height:
            raise InternalError(f"{_name(groups[member][0])} has no row {row}")
        if row != done[member] and groups[member][0].call.hands_over:
            raise InternalError(f"{_name(groups[member][0])} hands over row {row} in place of row {done[member]}")
        run = _take_in_row if groups[member][0].call.accumulates else _run_row
        run(program.graph, memory, groups[member], row)
        done[member] += 1
    for group, rows in zip(groups, done, strict=True):
        if rows < _turns(program.graph, group[0]) or (not stream.rows and rows > _turns(program.graph, group[0])):
            raise InternalError(f"{_name(group[0])} computes {rows} rows only")


def _turns(graph: Graph, step: Step) -> int:
    """Rows that an operator computes, or takes in where it accumulates."""
    op = graph.ops[step.op]
    if not step.call.accumulates:
        return graph.results(op)[0].shape[1]
    if not op.attrs.accumulates(graph.operands(op), graph.results(op)[0]):
        raise InternalError(f"{_name(step)} cannot take in row after row")
    return step.reads[0].view.tensor.shape[1]


def _take_in_row(graph: Graph, memory: _Memory, steps: Sequence[Step], row: int) -> None:
    """A row of the only operand; its work space holds what came before, and the result is written with the last."""
    (step,) = steps
    (read,), (target,) = step.reads, step.writes
    if step.scratch is None or target.arena == FLASH:
        raise InternalError(f"{_name(step)} has nowhere to keep its sums")
    tensor, sums = read.view.tensor, step.scratch[1] + np.arange(step.call.scratch)
    touched = _rows(tensor, row, row + 1)
    places = read.offset + _folded(memory, tensor, touched)
    held = memory.owners[step.scratch[0]]
    _check_inside(memory.owners, read.arena, places, _name(step))
    _check_inside(memory.owners, step.scratch[0], sums, _name(step))
    if not _there(memory, tensor, read.arena, touched, places).all():
        raise InternalError(f"{_name(step)}: row {row} reads '{tensor.name}' where it is not any more")
    mine = NOBODY - 1 - step.op
    if row and not (held[sums] == mine).all():
        raise InternalError(f"{_name(step)}: what it has summed up is overwritten before row {row}")
    taken = [_anywhere(memory, read.arena, places), _anywhere(memory, step.scratch[0], sums)]
    if np.isin(taken[0], taken[1]).any():
        raise InternalError(f"{_name(step)}: row {row} overwrites what it reads")
    held[sums] = mine
    if row + 1 == tensor.shape[1]:
        result = np.arange(target.view.tensor.nbytes)
        _write_access(memory, target, step)
        if np.isin(_anywhere(memory, target.arena, target.offset + result), np.concatenate(taken)).any():
            raise InternalError(f"{_name(step)} overwrites what it reads")


def _run_row(graph: Graph, memory: _Memory, steps: Sequence[Step], row: int) -> None:
    """One row of an operator's result: all rows that it needs are there, and none of them is where it goes."""
    op = graph.ops[steps[0].op]
    output = graph.results(op)[0]
    needed = op.attrs.input_rows(graph.operands(op), output)
    if needed is None:
        raise InternalError(f"operator {op.id} cannot run row by row")
    reads: list[Bytes] = []
    for access in {
        (a.view.tensor.id, a.arena, a.offset): a for s in steps for a in s.reads if a.arena != FLASH
    }.values():
        tensor = graph.tensors[access.view.tensor.id]
        rows = needed[op.inputs.index(tensor.id)] or (
            ((0, tensor.shape[1] if len(tensor.shape) == 4 else 1),) * (row + 1)
        )
        whole = needed[op.inputs.index(tensor.id)] is None
        touched = np.arange(tensor.nbytes) if whole else _rows(tensor, *rows[row])
        if _is_strip(steps[0]):
            touched = touched[_under(graph, steps[0], access, touched)]
        places = _places(memory, access, touched)
        _check_inside(memory.owners, access.arena, places, _name(steps[0]))
        found = _there(memory, tensor, access.arena, touched, places)
        if not found.all():
            raise InternalError(f"{_name(steps[0])}: row {row} reads '{tensor.name}' where it is not any more")
        reads.append(_anywhere(memory, access.arena, places))
    if steps[0].call.hands_over and not steps[0].writes:
        return
    target = steps[0].writes[0]
    touched = _rows(output, row, row + 1)
    if _is_strip(steps[0]):
        touched = touched[_within(target, touched, *_columns(target))]
    places = _places(memory, target, touched)
    _check_inside(memory.owners, target.arena, places, _name(steps[0]))
    exact = len(steps) == 1 and bool(steps[0].call.in_place)
    scratch = [(s.scratch[0], s.scratch[1] + np.arange(s.call.scratch)) for s in steps if s.scratch is not None]
    written = _anywhere(memory, target.arena, places)
    for read in reads:
        meets = np.isin(read, written).any() and not (exact and read.size == written.size and (read >= written).all())
        if meets or any(np.isin(read, _anywhere(memory, *block)).any() for block in scratch):
            raise InternalError(f"{_name(steps[0])}: row {row} overwrites what it reads")
    for arena, block in scratch:
        _spoil(memory, arena, block, written, _name(steps[0]))
    memory.owners[target.arena][places] = output.id
    memory.within[target.arena][places] = touched


def _spoil(memory: _Memory, arena: int, block: Bytes, written: Bytes, who: str) -> None:
    """Work space holds nothing any more; it is not where the result goes."""
    _check_inside(memory.owners, arena, block, who)
    memory.owners[arena][block] = NOBODY
    if np.isin(written, _anywhere(memory, arena, block)).any():
        raise InternalError(f"{who} writes two things to one place")


def _is_strip(step: Step) -> bool:
    """Whether a step computes some columns of a row only."""
    return step.by_row is ByRow.KERNEL and step.writes[0].view.shape is not None


def _columns(access: Access) -> tuple[int, int]:
    """The columns of an image that an access names: first and end."""
    view = access.view
    if view.shape is None:
        return 0, view.tensor.shape[2]
    first = view.offset // view.strides[1]
    return first, first + view.shape[1]


def _within(access: Access, touched: Bytes, first: int, end: int) -> npt.NDArray[np.bool_]:
    """Which bytes of an image are in columns [first, end)."""
    _, height, width, _ = access.view.tensor.shape
    column = touched // (access.view.tensor.nbytes // (height * width)) % width
    return (column >= first) & (column < end)


def _under(graph: Graph, step: Step, access: Access, touched: Bytes) -> npt.NDArray[np.bool_]:
    """Which bytes of an operand are needed for the columns that a step writes; the access must name them all."""
    op = graph.ops[step.op]
    columns = columns_under(op.attrs, graph.operands(op), graph.results(op)[0])
    begin, stop = _columns(step.writes[0])
    if columns is None or not 0 <= begin < stop <= len(columns):
        raise InternalError(f"{_name(step)} cannot compute columns {begin} to {stop}")
    first, end = columns[begin][0], columns[stop - 1][1]
    there = _columns(access)
    if not there[0] <= first <= end <= there[1]:
        raise InternalError(f"{_name(step)} is given columns {there[0]} to {there[1]}, not all of {first} to {end}")
    return _within(access, touched, first, end)


def _places(memory: _Memory, access: Access, touched: Bytes) -> Bytes:
    """Where bytes of a tensor are that an access touches row by row."""
    tensor = access.view.tensor
    if tensor.id in memory.slices:
        return _where(memory, access, touched)
    if tensor.id not in memory.strips:
        return access.offset + _folded(memory, tensor, touched)
    _, height, width, _ = tensor.shape
    pixel = tensor.nbytes // (height * width)
    first, end = _columns(access)
    row, column, byte = touched // (pixel * width), touched // pixel % width, touched % pixel
    found: Bytes = access.start + (row % memory.rings[tensor.id] * (end - first) + column - first) * pixel + byte
    return found


def _where(memory: _Memory, access: Access, touched: Bytes) -> Bytes:
    """Where bytes of a tensor are that is there as a whole, in one piece or as a slice of another."""
    place = memory.slices.get(access.view.tensor.id)
    found = touched if place is None else touched // place.run * place.pitch + touched % place.run
    return access.offset + found


def _anywhere(memory: _Memory, arena: int, places: Bytes) -> Bytes:
    """Bytes of an arena, counted through all arenas."""
    before: Bytes = places + sum(owners.size for owners in memory.owners[:arena])
    return before


def _rows(tensor: Tensor, first: int, end: int) -> Bytes:
    """Bytes of some rows of an image, counted from its first."""
    size = tensor.nbytes // tensor.shape[1]
    return np.arange(first * size, end * size)


def _folded(memory: _Memory, tensor: Tensor, touched: Bytes) -> Bytes:
    """Where bytes of a tensor are from where it starts, if only some of its rows are kept."""
    if tensor.id not in memory.rings:
        return touched
    kept = memory.rings[tensor.id]
    size = tensor.nbytes // tensor.shape[1]
    folded: Bytes = touched // size % kept * size + touched % size
    return folded


def footprint(access: Access) -> Bytes:
    """Which bytes of its tensor an access touches, counted from the tensor's first."""
    view = access.view
    if view.shape is None:
        return np.arange(view.tensor.nbytes)
    cells = np.full(1, view.offset, np.int64)
    for size, stride in zip(view.shape, view.strides, strict=True):
        cells = (cells[:, None] + np.arange(size) * stride).reshape(-1)
    touched = (cells[:, None] + np.arange(view.itemsize)).reshape(-1)
    if touched.size and (touched.min() < 0 or touched.max() >= view.tensor.nbytes):
        raise InternalError(f"an access leaves tensor '{view.tensor.name}'")
    return touched if np.all(touched[1:] > touched[:-1]) else np.unique(touched)


def _check_step(graph: Graph, step: Step) -> None:
    """A step touches only its operator's operands and results, and does not write constants."""
    op = graph.ops[step.op]
    for access in step.writes:
        tensor = access.view.tensor
        mine = tensor.id in op.outputs or (tensor.id in op.inputs and tensor.kind is Kind.VARIABLE)
        if not mine or (access.arena == FLASH and tensor.nbytes):
            raise InternalError(f"{_name(step)} writes '{tensor.name}', which is not its result")
    for access in step.reads:
        tensor = access.view.tensor
        if tensor.id not in (*op.inputs, *op.outputs):
            raise InternalError(f"{_name(step)} reads '{tensor.name}', which is not its operand")
        if access.arena == FLASH and tensor.kind is not Kind.CONSTANT and tensor.nbytes:
            raise InternalError(f"{_name(step)} reads '{tensor.name}' from flash")


def _check_read(memory: _Memory, access: Access, step: Step) -> None:
    if access.arena == FLASH:
        footprint(access)
        return
    touched = footprint(access)
    places = _where(memory, access, touched)
    _check_inside(memory.owners, access.arena, places, _name(step))
    tensor = access.view.tensor
    found = _there(memory, tensor, access.arena, touched, places)
    if not found.all():
        where = int(places[np.argmin(found)])
        owner = int(memory.owners[access.arena][where])
        raise InternalError(f"{_name(step)} reads '{tensor.name}' at byte {where}, where tensor {owner} is")


def _check_disjoint(memory: _Memory, step: Step) -> None:
    """Writes and work space keep off the bytes that the step reads, but for pairs that may be the same bytes."""
    owners = memory.owners
    writes = [(index, a.arena, _where(memory, a, footprint(a))) for index, a in enumerate(step.writes)]
    if step.scratch is not None:
        arena, offset = step.scratch
        writes.append((NOBODY, arena, offset + np.arange(step.call.scratch)))
    taken = [np.zeros(owner.size, np.bool_) for owner in owners]
    for _, arena, places in writes:
        _check_inside(owners, arena, places, _name(step))
        if taken[arena][places].any():
            raise InternalError(f"{_name(step)} writes two things to one place")
        taken[arena][places] = True
    for index, read in enumerate(step.reads):
        if read.arena == FLASH:
            continue
        touched = _where(memory, read, footprint(read))
        if not taken[read.arena][touched].any():
            continue
        for number, arena, places in writes:
            if arena == read.arena and not _may_share(step, index, number, touched, places):
                raise InternalError(f"{_name(step)} overwrites '{read.view.tensor.name}' while it reads it")


def _may_share(step: Step, read: int, write: int, touched: Bytes, places: Bytes) -> bool:
    """Whether a read and a write do not meet, or are the same bytes and allowed to be."""
    if write != NOBODY and np.array_equal(touched, places):
        variable = step.reads[read].view.tensor.id == step.writes[write].view.tensor.id
        return variable or (read, write) in step.call.in_place
    return not np.isin(touched, places).any()


def _smear(owners: list[Bytes], step: Step) -> None:
    assert step.scratch is not None
    arena, offset = step.scratch
    places = offset + np.arange(step.call.scratch)
    _check_inside(owners, arena, places, _name(step))
    owners[arena][places] = NOBODY


def _write_access(memory: _Memory, access: Access, step: Step) -> None:
    touched = footprint(access)
    places = _where(memory, access, touched)
    _write(memory.owners, memory.within, access.view.tensor, access.arena, places, touched, _name(step))


def _write(
    owners: list[Bytes], within: list[Bytes], tensor: Tensor, arena: int, places: Bytes, touched: Bytes, who: str
) -> None:
    _check_inside(owners, arena, places, who)
    owners[arena][places] = tensor.id
    within[arena][places] = touched


def _check_inside(owners: list[Bytes], arena: int, places: Bytes, who: str) -> None:
    if places.size and (places.min() < 0 or places.max() >= owners[arena].size):
        raise InternalError(f"{who} leaves the arena")


def _check_results(program: Program, memory: _Memory) -> None:
    """Outputs and variables are there when the last step is done."""
    graph = program.graph
    kept = [graph.tensors[i] for i in graph.outputs if graph.tensors[i].kind not in (Kind.CONSTANT, Kind.OUTSIDE)]
    kept += [t for t in graph.tensors if t.kind is Kind.VARIABLE]
    for tensor in kept:
        if not tensor.nbytes:
            continue
        arena, offset = program.place(tensor)
        touched = np.arange(tensor.nbytes)
        whole = _there(memory, tensor, arena, touched, touched + offset)
        if not whole.all():
            raise InternalError(f"'{tensor.name}' is not whole at the end: byte {int(np.argmin(whole))} is missing")


def _name(step: Step) -> str:
    return f"operator {step.op} ({step.call.kernel})"
