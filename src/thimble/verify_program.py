# SPDX-License-Identifier: Apache-2.0
"""Runs a Program on a symbolic arena: every byte holds which byte of which tensor was last written there.

Every read must find its own bytes, and a call must not write what it is still reading. Like the other verifiers this
one imports nothing that it checks; it trusts only what the kernel calls say they read and write, which execution
under guards checks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from thimble.errors import InternalError
from thimble.ir import Graph, Kind, Tensor
from thimble.program import FLASH, Access, Program, Step

NOBODY = -1
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
        if tensor.nbytes and (tensor.id in graph.given or tensor.kind is Kind.VARIABLE):
            _write(owners, within, tensor, *program.place(tensor), np.arange(tensor.nbytes), "the start")
    for step in program.steps:
        _check_step(graph, step)
        for access in step.reads:
            _check_read(owners, within, access, step)
        _check_disjoint(owners, step)
        if step.scratch is not None:
            _smear(owners, step)
        for access in step.writes:
            _write(owners, within, access.view.tensor, access.arena, access.offset, footprint(access), _name(step))
    _check_results(program, owners, within)


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


def _check_read(owners: list[Bytes], within: list[Bytes], access: Access, step: Step) -> None:
    if access.arena == FLASH:
        footprint(access)
        return
    touched = footprint(access)
    places = touched + access.offset
    _check_inside(owners, access.arena, places, _name(step))
    tensor = access.view.tensor
    found = (owners[access.arena][places] == tensor.id) & (within[access.arena][places] == touched)
    if not found.all():
        where = int(places[np.argmin(found)])
        owner = int(owners[access.arena][where])
        raise InternalError(f"{_name(step)} reads '{tensor.name}' at byte {where}, where tensor {owner} is")


def _check_disjoint(owners: list[Bytes], step: Step) -> None:
    """Writes and work space keep off the bytes that the step reads, but for pairs that may be the same bytes."""
    writes = [(index, a.arena, footprint(a) + a.offset) for index, a in enumerate(step.writes)]
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
        touched = footprint(read) + read.offset
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


def _write(
    owners: list[Bytes], within: list[Bytes], tensor: Tensor, arena: int, offset: int, touched: Bytes, who: str
) -> None:
    places = touched + offset
    _check_inside(owners, arena, places, who)
    owners[arena][places] = tensor.id
    within[arena][places] = touched


def _check_inside(owners: list[Bytes], arena: int, places: Bytes, who: str) -> None:
    if places.size and (places.min() < 0 or places.max() >= owners[arena].size):
        raise InternalError(f"{who} leaves the arena")


def _check_results(program: Program, owners: list[Bytes], within: list[Bytes]) -> None:
    """Outputs and variables are there when the last step is done."""
    graph = program.graph
    kept = [graph.tensors[i] for i in graph.outputs if graph.tensors[i].kind is not Kind.CONSTANT]
    kept += [t for t in graph.tensors if t.kind is Kind.VARIABLE]
    for tensor in kept:
        if not tensor.nbytes:
            continue
        arena, offset = program.place(tensor)
        touched = np.arange(tensor.nbytes)
        whole = (owners[arena][touched + offset] == tensor.id) & (within[arena][touched + offset] == touched)
        if not whole.all():
            raise InternalError(f"'{tensor.name}' is not whole at the end: byte {int(np.argmin(whole))} is missing")


def _name(step: Step) -> str:
    return f"operator {step.op} ({step.call.kernel})"
