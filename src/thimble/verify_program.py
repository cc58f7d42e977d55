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
from thimble.ops.rows import under
from thimble.program import FLASH, POSITION_BYTES, Access, ByRow, Program, Step, Stream

if TYPE_CHECKING:
    from thimble.kernel import Fields, Slice

NOBODY = -1
WAITING = -(1 << 62)  # owns the bytes that say where an inference stands
Array = npt.NDArray[np.int64]
Bytes = range | Array
"""Numbers of bytes, ascending within a tensor: one run of them, or each by itself."""


def verify_program(program: Program) -> None:
    """Check a program against its graph.

    Raises:
        InternalError: a step reads bytes that are not there any more, writes outside its arena, writes what it reads,
            or misses an operator's result; the message names the first such step.
    """
    owners = [np.full(arena.size, NOBODY, np.int64) for arena in program.arenas]
    origins = [np.zeros(arena.size, np.int64) for arena in program.arenas]
    memory = _Memory(owners, origins, dict(program.rings), frozenset(program.strips), dict(program.slices))
    graph = program.graph
    for tensor in graph.tensors:
        there = tensor.in_arena and tensor.id in graph.given
        if tensor.nbytes and (there or tensor.kind is Kind.VARIABLE):
            arena, offset = program.place(tensor)
            touched = range(tensor.nbytes)
            _write(memory, tensor, arena, _moved(touched, offset), touched, "the start")
    if program.position is not None:
        owners[0][program.position : program.position + POSITION_BYTES] = WAITING
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

    The latter as where, judging by this byte, the owner's first one would be (`origins`): for a run of bytes that is
    one number. `names` says of tensors that took over bytes of others, without a copy, as whose bytes these were
    written: the owner, and how much smaller the byte's number is there.
    """

    owners: list[Array]
    origins: list[Array]
    rings: dict[TensorId, int]
    strips: frozenset[TensorId] = frozenset()
    slices: dict[TensorId, Slice] = field(default_factory=dict)
    names: dict[TensorId, tuple[Array, Array]] = field(default_factory=dict)


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
    if read.arena == FLASH or read.arena != write.arena or not _same(there, wanted):
        raise InternalError(
            f"{_name(step)} is not executed, but '{read.view.tensor.name}' is elsewhere than its result"
        )
    result = write.view.tensor
    blank = np.full(result.nbytes, result.id), np.zeros(result.nbytes, np.int64)
    owner, less = memory.names.setdefault(result.id, blank)
    touched = footprint(write)
    owner[_index(touched)] = memory.owners[read.arena][_index(there)]
    less[_index(touched)] = memory.origins[read.arena][_index(there)] - _apart(there, touched)


def _there(memory: _Memory, tensor: Tensor, arena: int, touched: Bytes, places: Bytes) -> npt.NDArray[np.bool_]:
    """Which bytes of a tensor are where they are looked for, by the names under which they were written."""
    owner: TensorId | Array = tensor.id
    origin = _apart(places, touched)
    if tensor.id in memory.names:
        owners, less = memory.names[tensor.id]
        owner, origin = owners[_index(touched)], origin + less[_index(touched)]
    found: npt.NDArray[np.bool_] = memory.owners[arena][_index(places)] == owner
    found &= memory.origins[arena][_index(places)] == origin
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
        one, other = (_where(memory, a, range(a.view.tensor.nbytes)) for a in (read, write))
        return not _same(one, other) and _overlap(one, other)
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
    tensor, sums = read.view.tensor, _run_of(step.scratch[1], step.call.scratch)
    touched = _rows(tensor, row, row + 1)
    places = _moved(_folded(memory, tensor, touched), read.offset)
    held = memory.owners[step.scratch[0]]
    _check_inside(memory.owners, read.arena, places, _name(step))
    _check_inside(memory.owners, step.scratch[0], sums, _name(step))
    if not _there(memory, tensor, read.arena, touched, places).all():
        raise InternalError(f"{_name(step)}: row {row} reads '{tensor.name}' where it is not any more")
    mine = NOBODY - 1 - step.op
    if row and not (held[_index(sums)] == mine).all():
        raise InternalError(f"{_name(step)}: what it has summed up is overwritten before row {row}")
    taken = [_anywhere(memory, read.arena, places), _anywhere(memory, step.scratch[0], sums)]
    if _overlap(taken[0], taken[1]):
        raise InternalError(f"{_name(step)}: row {row} overwrites what it reads")
    held[_index(sums)] = mine
    if row + 1 == tensor.shape[1]:
        result = _run_of(target.offset, target.view.tensor.nbytes)
        _write_access(memory, target, step)
        if any(_overlap(_anywhere(memory, target.arena, result), block) for block in taken):
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
        windows = needed[op.inputs.index(tensor.id)]
        rows = range(tensor.nbytes) if windows is None else _rows(tensor, *windows[row])
        strip = _is_strip(steps[0])
        touched = _within(access, rows, *_under(graph, steps[0], access)) if strip else rows
        places = _places(memory, access, touched)
        _check_inside(memory.owners, access.arena, places, _name(steps[0]))
        found = _there(memory, tensor, access.arena, touched, places)
        if not found.all():
            raise InternalError(f"{_name(steps[0])}: row {row} reads '{tensor.name}' where it is not any more")
        reads.append(_anywhere(memory, access.arena, places))
    if steps[0].call.hands_over and not steps[0].writes:
        return
    target = steps[0].writes[0]
    rows = _rows(output, row, row + 1)
    touched = _within(target, rows, *_columns(target)) if _is_strip(steps[0]) else rows
    places = _places(memory, target, touched)
    _check_inside(memory.owners, target.arena, places, _name(steps[0]))
    exact = len(steps) == 1 and bool(steps[0].call.in_place)
    scratch = [(s.scratch[0], _run_of(s.scratch[1], s.call.scratch)) for s in steps if s.scratch is not None]
    written = _anywhere(memory, target.arena, places)
    for read in reads:
        meets = _overlap(read, written) and not (exact and _not_before(read, written))
        if meets or any(_overlap(read, _anywhere(memory, *block)) for block in scratch):
            raise InternalError(f"{_name(steps[0])}: row {row} overwrites what it reads")
    for arena, block in scratch:
        _spoil(memory, arena, block, written, _name(steps[0]))
    _write(memory, output, target.arena, places, touched, _name(steps[0]))


def _spoil(memory: _Memory, arena: int, block: Bytes, written: Bytes, who: str) -> None:
    """Work space holds nothing any more; it is not where the result goes."""
    _check_inside(memory.owners, arena, block, who)
    memory.owners[arena][_index(block)] = NOBODY
    if _overlap(written, _anywhere(memory, arena, block)):
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


def _within(access: Access, touched: range, first: int, end: int) -> Array:
    """Those bytes of whole rows of an image that are in columns [first, end)."""
    _, height, width, _ = access.view.tensor.shape
    pixel = access.view.tensor.nbytes // (height * width)
    starts = np.arange(touched.start, touched.stop, pixel * width)
    return (starts[:, None] + np.arange(first * pixel, end * pixel)).reshape(-1)


def _under(graph: Graph, step: Step, access: Access) -> tuple[int, int]:
    """Which columns of an operand are needed for those that a step writes; the access must name them all."""
    op = graph.ops[step.op]
    columns = under(op.attrs, graph.operands(op), graph.results(op)[0], 1)
    begin, stop = _columns(step.writes[0])
    if columns is None or not 0 <= begin < stop <= len(columns):
        raise InternalError(f"{_name(step)} cannot compute columns {begin} to {stop}")
    first, end = columns[begin][0], columns[stop - 1][1]
    there = _columns(access)
    if not there[0] <= first <= end <= there[1]:
        raise InternalError(f"{_name(step)} is given columns {there[0]} to {there[1]}, not all of {first} to {end}")
    return first, end


def _places(memory: _Memory, access: Access, touched: Bytes) -> Bytes:
    """Where bytes of a tensor are that an access touches row by row."""
    tensor = access.view.tensor
    if tensor.id in memory.slices:
        return _where(memory, access, touched)
    if tensor.id not in memory.strips:
        return _moved(_folded(memory, tensor, touched), access.offset)
    _, height, width, _ = tensor.shape
    pixel = tensor.nbytes // (height * width)
    first, end = _columns(access)
    row, byte = np.divmod(_each(touched), pixel * width)
    found: Array = access.start + (row % memory.rings[tensor.id] * (end - first) - first) * pixel + byte
    return found


def _where(memory: _Memory, access: Access, touched: Bytes) -> Bytes:
    """Where bytes of a tensor are that is there as a whole, in one piece or as a slice of another."""
    place = memory.slices.get(access.view.tensor.id)
    if place is None:
        return _moved(touched, access.offset)
    run, byte = np.divmod(_each(touched), place.run)
    found: Array = access.offset + run * place.pitch + byte
    return found


def _anywhere(memory: _Memory, arena: int, places: Bytes) -> Bytes:
    """Bytes of an arena, counted through all arenas."""
    return _moved(places, sum(owners.size for owners in memory.owners[:arena]))


def _rows(tensor: Tensor, first: int, end: int) -> range:
    """Bytes of some rows of an image, counted from its first."""
    size = tensor.nbytes // tensor.shape[1]
    return range(first * size, end * size)


def _folded(memory: _Memory, tensor: Tensor, touched: Bytes) -> Bytes:
    """Where bytes of a tensor are from where it starts, if only some of its rows are kept."""
    if tensor.id not in memory.rings:
        return touched
    ring = memory.rings[tensor.id] * (tensor.nbytes // tensor.shape[1])
    if isinstance(touched, range) and touched.start % ring + len(touched) <= ring:
        return _run_of(touched.start % ring, len(touched))
    folded: Array = _each(touched) % ring
    return folded


def footprint(access: Access) -> Bytes:
    """Which bytes of its tensor an access touches, counted from the tensor's first."""
    view = access.view
    if view.shape is None:
        return range(view.tensor.nbytes)
    dense, outer = view.itemsize, list(zip(view.shape, view.strides, strict=True))
    while outer and outer[-1][1] == dense and outer[-1][0]:
        dense *= outer.pop()[0]
    cells = np.full(1, view.offset, np.int64)
    for size, stride in outer:
        cells = (cells[:, None] + np.arange(size) * stride).reshape(-1)
    if cells.size and (cells.min() < 0 or cells.max() + dense > view.tensor.nbytes):
        raise InternalError(f"an access leaves tensor '{view.tensor.name}'")
    if cells.size == 1:
        return _run_of(view.offset, dense)
    touched = (cells[:, None] + np.arange(dense)).reshape(-1)
    return touched if np.all(touched[1:] > touched[:-1]) else np.unique(touched)


def _run_of(start: int, size: int) -> range:
    return range(start, start + size)


def _each(places: Bytes) -> Array:
    return np.arange(places.start, places.stop) if isinstance(places, range) else places


def _index(places: Bytes) -> slice | Array:
    """To look bytes up by, of which none is negative."""
    return slice(places.start, places.stop) if isinstance(places, range) else places


def _moved(places: Bytes, by: int) -> Bytes:
    return range(places.start + by, places.stop + by) if isinstance(places, range) else places + by


def _apart(places: Bytes, touched: Bytes) -> int | Array:
    """How far each byte of a tensor is from its number, one after another."""
    if isinstance(places, range) and isinstance(touched, range):
        return places.start - touched.start
    return _each(places) - _each(touched)


def _same(one: Bytes, other: Bytes) -> bool:
    if isinstance(one, range) and isinstance(other, range):
        return one == other
    return np.array_equal(_each(one), _each(other))


def _overlap(one: Bytes, other: Bytes) -> bool:
    """Whether any byte is among both."""
    if not len(one) or not len(other):
        return False
    (start, last), (begin, end) = _ends(one), _ends(other)
    if last < begin or end < start:
        return False
    both_runs = isinstance(one, range) and isinstance(other, range)
    return both_runs or bool(np.isin(_each(one), _each(other)).any())


def _ends(places: Bytes) -> tuple[int, int]:
    """The least and the largest number of some bytes."""
    return (places[0], places[-1]) if isinstance(places, range) else (int(places.min()), int(places.max()))


def _not_before(read: Bytes, written: Bytes) -> bool:
    """Whether no byte is written before it is read, both going up."""
    return len(read) == len(written) and bool(np.all(_apart(read, written) >= 0))


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
        where = int(places[int(np.argmin(found))])
        owner = int(memory.owners[access.arena][where])
        raise InternalError(f"{_name(step)} reads '{tensor.name}' at byte {where}, where tensor {owner} is")


def _check_disjoint(memory: _Memory, step: Step) -> None:
    """Writes and work space keep off the bytes that the step reads, but for pairs that may be the same bytes."""
    writes = [(index, a.arena, _where(memory, a, footprint(a))) for index, a in enumerate(step.writes)]
    if step.scratch is not None:
        arena, offset = step.scratch
        writes.append((NOBODY, arena, _run_of(offset, step.call.scratch)))
    for number, (_, arena, places) in enumerate(writes):
        _check_inside(memory.owners, arena, places, _name(step))
        if any(arena == other and _overlap(places, taken) for _, other, taken in writes[:number]):
            raise InternalError(f"{_name(step)} writes two things to one place")
    for index, read in enumerate(step.reads):
        if read.arena == FLASH:
            continue
        touched = _where(memory, read, footprint(read))
        for number, arena, places in writes:
            if arena == read.arena and not _may_share(step, index, number, touched, places):
                raise InternalError(f"{_name(step)} overwrites '{read.view.tensor.name}' while it reads it")


def _may_share(step: Step, read: int, write: int, touched: Bytes, places: Bytes) -> bool:
    """Whether a read and a write do not meet, or are the same bytes and allowed to be."""
    if not _overlap(touched, places):
        return True
    if write != NOBODY and _same(touched, places):
        variable = step.reads[read].view.tensor.id == step.writes[write].view.tensor.id
        return variable or (read, write) in step.call.in_place
    return False


def _smear(owners: list[Array], step: Step) -> None:
    assert step.scratch is not None
    arena, offset = step.scratch
    places = _run_of(offset, step.call.scratch)
    _check_inside(owners, arena, places, _name(step))
    owners[arena][_index(places)] = NOBODY


def _write_access(memory: _Memory, access: Access, step: Step) -> None:
    touched = footprint(access)
    places = _where(memory, access, touched)
    _write(memory, access.view.tensor, access.arena, places, touched, _name(step))


def _write(memory: _Memory, tensor: Tensor, arena: int, places: Bytes, touched: Bytes, who: str) -> None:
    _check_inside(memory.owners, arena, places, who)
    memory.owners[arena][_index(places)] = tensor.id
    memory.origins[arena][_index(places)] = _apart(places, touched)


def _check_inside(owners: list[Array], arena: int, places: Bytes, who: str) -> None:
    if len(places) and not 0 <= _ends(places)[0] <= _ends(places)[1] < owners[arena].size:
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
        touched = range(tensor.nbytes)
        places = _moved(touched, offset)
        _check_inside(memory.owners, arena, places, f"'{tensor.name}'")
        whole = _there(memory, tensor, arena, touched, places)
        if not whole.all():
            raise InternalError(f"'{tensor.name}' is not whole at the end: byte {int(np.argmin(whole))} is missing")


def _name(step: Step) -> str:
    return f"operator {step.op} ({step.call.kernel})"
