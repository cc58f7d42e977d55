# SPDX-License-Identifier: Apache-2.0
"""Builds `.tflite` files by hand, right or wrong: nothing here checks that the result makes sense.

A table is a dict from the schema's slot number to a value: (struct format, number) for a scalar, bytes for
a string, a table, a list of tables, or an `Ints` vector. Use the functions below it for the usual tables.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import flatbuffers

INT8, INT32, FLOAT32, RESOURCE = 9, 2, 0, 13  # TensorType codes of the schema
CONV_2D, CALL_ONCE, IF, WHILE, ADD, RELU, FILL = 3, 129, 118, 119, 0, 19, 94  # BuiltinOperator codes
CALL_ONCE_OPTIONS, IF_OPTIONS, WHILE_OPTIONS, CONV_2D_OPTIONS = 103, 92, 93, 1  # BuiltinOptions codes

Table = dict[int, Any]


@dataclass(frozen=True)
class Ints:
    """A vector of numbers; `form` is the struct format of one."""

    form: str
    values: tuple[int | float, ...]


def i32(*values: int) -> Ints:
    return Ints("i", values)


def tensor(name: bytes, shape: tuple[int, ...], dtype: int = INT8, buffer: int = 0, **more: Any) -> Table:
    """One tensor; keywords `signature`, `variable` and `quantization`."""
    table: Table = {0: i32(*shape), 1: ("b", dtype), 2: ("I", buffer), 3: name}
    if "signature" in more:
        table[7] = i32(*more["signature"])
    if "variable" in more:
        table[5] = ("?", more["variable"])
    if "quantization" in more:
        table[4] = more["quantization"]
    return table


def operator(
    code: int, inputs: tuple[int, ...], outputs: tuple[int, ...], options: tuple[int, Table] | None = None
) -> Table:
    """One operator; `code` is an index into the model's codes, `options` is (union type, table)."""
    table: Table = {0: ("I", code), 1: i32(*inputs), 2: i32(*outputs)}
    return table | ({} if options is None else {3: ("B", options[0]), 4: options[1]})


def graph(
    tensors: list[Table], inputs: tuple[int, ...], outputs: tuple[int, ...], ops: list[Table], name: bytes = b"main"
) -> Table:
    return {0: tensors, 1: i32(*inputs), 2: i32(*outputs), 3: ops, 4: name}


def model(codes: list[int], graphs: list[Table], buffers: tuple[bytes, ...] = (b"",)) -> bytes:
    """A file: BuiltinOperator codes, graphs, and the contents of the buffers (the first is empty by custom)."""
    return encode(
        {
            0: ("I", 3),
            1: [{0: ("b", min(code, 127)), 3: ("i", code)} for code in codes],
            2: graphs,
            4: [{0: Ints("B", tuple(data))} if data else {} for data in buffers],
        }
    )


def encode(root: Table) -> bytes:
    """The bytes of a file with this root table."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, root), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder: Any, table: Table) -> int:
    children = {slot: _child(builder, value) for slot, value in table.items() if not isinstance(value, tuple)}
    builder.StartObject(max(table, default=-1) + 1)
    for slot, value in table.items():
        if isinstance(value, tuple):
            form, number = value
            builder.Prep(struct.calcsize(form), 0)
            builder.head -= struct.calcsize(form)
            struct.pack_into("<" + form, builder.Bytes, builder.head, number)
            builder.Slot(slot)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, children[slot], 0)
    return int(builder.EndObject())


def _child(builder: Any, value: Any) -> int:
    if isinstance(value, bytes):
        return int(builder.CreateString(value))
    if isinstance(value, dict):
        return _table(builder, value)
    if isinstance(value, Ints):
        packed = struct.pack(f"<{len(value.values)}{value.form}", *value.values)
        width = struct.calcsize(value.form)
        builder.StartVector(width, len(value.values), width)
        builder.head -= len(packed)
        builder.Bytes[builder.head : builder.head + len(packed)] = packed
        return int(builder.EndVector())
    offsets = [_table(builder, item) for item in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
