# SPDX-License-Identifier: Apache-2.0
"""Reorder a `.tflite` file's operators and put a memory plan into it, touching nothing else.

The new file is a new head (root, model table, lists of buffers and metadata, the plan) followed by the old
file as it was. FlatBuffers offsets are relative, so the old bytes keep their meaning wherever they stand; only
the entries of the operator list are permuted, and the absolute offsets of buffers kept behind a large model
are moved along.

    | head: root, model, lists, plan | old file, operator entries permuted |

Source: FlatBuffers internals; TFLM's `docs/memory_management.md`, "Offline planned tensor allocations".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from thimble.errors import ModelError
from thimble.ir import OpId
from thimble.memory import OFFLINE_PLAN

PLAN_NAME = OFFLINE_PLAN.encode()
_ALIGNMENT = 64  # the old file moves by a multiple of this, so that its buffers stay aligned
_MODEL_SLOTS = 8  # version, operator_codes, subgraphs, description, buffers, metadata_buffer, metadata, signatures
_BUFFERS, _METADATA = 4, 6
_ANYWHERE = 1 << 30  # where a draft takes the old file to start: behind any head


def plan_bytes(offsets: Sequence[int]) -> bytes:
    """The metadata buffer: version 1, subgraph 0, count, then an offset per tensor of all graphs or `memory.ONLINE`."""
    return struct.pack(f"<III{len(offsets)}i", 1, 0, len(offsets), *offsets)


def with_plan(data: bytes, order: Sequence[OpId], offsets: Sequence[int] | None) -> bytes:
    """The file with its main graph's operators in `order` and `offsets` as its memory plan.

    Args:
        data: a `.tflite` file that `importers.tflite` accepts.
        order: all operators of the main graph.
        offsets: an arena offset per tensor of all graphs; None writes no plan, and removes one that is there.

    Raises:
        ModelError: the file's layout leaves no room for the permutation (no known writer makes such a file).
    """
    import tflite

    root: Any = tflite.Model.GetRootAs(data, 0)
    old = bytearray(data)
    _permute(old, root.Subgraphs(0), order)
    head = _head(root, offsets)
    _move_outside_buffers(old, root, len(head))
    return bytes(head + old)


def _permute(old: bytearray, graph: Any, order: Sequence[OpId]) -> None:
    """Write the operator list in another order; every entry is an offset from its own place."""
    place = graph._tab.Offset(10)
    if not place:
        return
    start = graph._tab.Vector(place)
    targets = [start + 4 * i + struct.unpack_from("<I", old, start + 4 * i)[0] for i in range(len(order))]
    for i, index in enumerate(order):
        distance = targets[index] - (start + 4 * i)
        if distance <= 0:
            raise ModelError("the file keeps operators before their list; they cannot be reordered in place")
        struct.pack_into("<I", old, start + 4 * i, distance)


def _move_outside_buffers(old: bytearray, root: Any, shift: int) -> None:
    for i in range(root.BuffersLength()):
        buffer = root.Buffers(i)
        if buffer.Offset() > 1:
            struct.pack_into("<Q", old, buffer._tab.Pos + buffer._tab.Offset(6), buffer.Offset() + shift)


def _tables(table: Any, slot: int) -> list[int]:
    """Positions of the tables in a list of the model."""
    place = table._tab.Offset(4 + 2 * slot)
    if not place:
        return []
    start = table._tab.Vector(place)
    return [table._tab.Indirect(start + 4 * i) for i in range(table._tab.VectorLen(place))]


def _head(root: Any, offsets: Sequence[int] | None) -> bytes:
    """Everything before the old file. Laid out twice: the old file starts where the head ends."""
    metadata = _tables(root, _METADATA)
    kept = [at for i, at in enumerate(metadata) if root.Metadata(i).Name() != PLAN_NAME]
    draft = _layout(root, kept, offsets, _ANYWHERE)
    return _layout(root, kept, offsets, len(draft))


def _layout(root: Any, kept: Sequence[int], offsets: Sequence[int] | None, shift: int) -> bytes:
    """The head, given that the old file starts at `shift`."""
    buffers = _tables(root, _BUFFERS)
    out = bytearray(8 + 4 + 2 * _MODEL_SLOTS + 4 + 4 * _MODEL_SLOTS)
    vtable, table = 8, 8 + 4 + 2 * _MODEL_SLOTS
    struct.pack_into("<I4sHH", out, 0, table, b"TFL3", 4 + 2 * _MODEL_SLOTS, 4 + 4 * _MODEL_SLOTS)
    struct.pack_into("<i", out, table, table - vtable)
    lists = {
        _BUFFERS: _list(out, [at + shift for at in buffers], 0 if offsets is None else 1),
        _METADATA: _list(out, [at + shift for at in kept], 0 if offsets is None else 1),
    }
    if offsets is not None:
        _set_last(out, lists[_BUFFERS], _buffer(out, plan_bytes(offsets)))
        _set_last(out, lists[_METADATA], _metadata(out, len(buffers)))
    for slot in range(_MODEL_SLOTS):
        field = table + 4 + 4 * slot
        old = root._tab.Offset(4 + 2 * slot)
        if slot in lists:
            value = lists[slot] - field
        elif not old:
            continue
        elif slot == 0:
            value = root.Version()
        else:
            value = root._tab.Indirect(root._tab.Pos + old) + shift - field
        struct.pack_into("<H", out, vtable + 4 + 2 * slot, field - table)
        struct.pack_into("<I", out, field, value)
    _pad(out, _ALIGNMENT)
    return bytes(out)


def _pad(out: bytearray, alignment: int) -> None:
    out.extend(bytes(-len(out) % alignment))


def _list(out: bytearray, targets: Sequence[int], more: int) -> int:
    """Append a list of tables, with room for `more`; returns its place."""
    _pad(out, 4)
    at = len(out)
    out.extend(struct.pack("<I", len(targets) + more))
    for target in targets:
        out.extend(struct.pack("<I", target - len(out)))
    out.extend(bytes(4 * more))
    return at


def _set_last(out: bytearray, at: int, target: int) -> None:
    last = at + 4 * struct.unpack_from("<I", out, at)[0]
    struct.pack_into("<I", out, last, target - last)


def _buffer(out: bytearray, content: bytes) -> int:
    """Append a Buffer table with its data, the data 16-byte aligned; returns the table's place."""
    _pad(out, 4)
    vtable = len(out)
    out.extend(struct.pack("<HHH2x", 6, 8, 4))
    table = len(out)
    data = table + 8 + (-(table + 8 + 4) % 16)
    out.extend(struct.pack("<iI", table - vtable, data - (table + 4)))
    out.extend(bytes(data - len(out)))
    out.extend(struct.pack("<I", len(content)) + content)
    return table


def _metadata(out: bytearray, buffer: int) -> int:
    """Append a Metadata table that names the plan and points to its buffer; returns the table's place."""
    _pad(out, 4)
    vtable = len(out)
    out.extend(struct.pack("<HHHH", 8, 12, 4, 8))
    table = len(out)
    out.extend(struct.pack("<iII", table - vtable, 8, buffer))
    out.extend(struct.pack("<I", len(PLAN_NAME)) + PLAN_NAME + b"\0")
    _pad(out, 4)
    return table
