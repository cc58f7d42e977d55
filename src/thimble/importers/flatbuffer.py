# SPDX-License-Identifier: Apache-2.0
"""Bounds check of an untrusted `.tflite` before the generated reader touches it.

Python cannot read outside the file, but a hostile one can ask for four billion entries or share one
table a million times. `check` walks every table that the importer reads, follows each offset, and
refuses what leaves the file or visits more tables than the file has room for.

Source: FlatBuffers internals (vtables, offsets, vectors) and the published TFLite schema (field order).
"""

from __future__ import annotations

import struct

from thimble.errors import ModelError

# What a field holds: bytes of an inline scalar, "string", ("vector", bytes per element), ("table", name),
# ("tables", name) for a vector of tables, "union" for a table whose type another field names.
Field = int | str | tuple[str, int | str]

# Slot -> field, in the order of the published schema; a slot that the importer never reads is absent.
_LAYOUT: dict[str, dict[int, Field]] = {
    "Model": {
        0: 4,
        1: ("tables", "OperatorCode"),
        2: ("tables", "SubGraph"),
        3: "string",
        4: ("tables", "Buffer"),
        6: ("tables", "Metadata"),
        7: ("tables", "SignatureDef"),
    },
    "OperatorCode": {0: 1, 1: "string", 2: 4, 3: 4},
    "SubGraph": {
        0: ("tables", "Tensor"),
        1: ("vector", 4),
        2: ("vector", 4),
        3: ("tables", "Operator"),
        4: "string",
    },
    "Tensor": {
        0: ("vector", 4),
        1: 1,
        2: 4,
        3: "string",
        4: ("table", "Quantization"),
        5: 1,
        6: ("table", "Sparsity"),
        7: ("vector", 4),
    },
    "Quantization": {0: ("vector", 4), 1: ("vector", 4), 2: ("vector", 4), 3: ("vector", 8), 6: 4},
    "Sparsity": {},
    "Operator": {
        0: 4,
        1: ("vector", 4),
        2: ("vector", 4),
        3: 1,
        4: "union",
        5: ("vector", 1),
        6: 1,
        7: ("vector", 1),
        8: ("vector", 4),
    },
    "Buffer": {0: ("vector", 1), 1: 8, 2: 8},
    "Metadata": {0: "string", 1: 4},
    "SignatureDef": {0: ("tables", "TensorMap"), 1: ("tables", "TensorMap"), 2: "string", 4: 4},
    "TensorMap": {0: "string", 1: 4},
    "union": {},
}


_SHARING = 4  # times the file's size that its vectors may come to, each counted as often as it is referenced


class _Checker:
    """One pass over one file; `tables` and `room` count down to bound the work on shared tables and vectors."""

    def __init__(self, data: bytes, file: str) -> None:
        self.data = data
        self.file = file
        self.tables = len(data) // 4
        self.room = _SHARING * len(data)

    def fail(self, what: str, at: int) -> ModelError:
        return ModelError(f"{self.file}: damaged .tflite: {what} at byte {at}. Export or download the model again.")

    def read(self, form: str, at: int, what: str) -> int:
        if at < 0 or at + struct.calcsize(form) > len(self.data):
            raise self.fail(f"{what} lies outside the file", at)
        value: int = struct.unpack_from(form, self.data, at)[0]
        return value

    def follow(self, at: int, what: str) -> int:
        offset = self.read("<I", at, what)
        if offset == 0 or at + offset >= len(self.data):
            raise self.fail(f"{what} points outside the file", at)
        return at + offset

    def vector(self, at: int, width: int, what: str) -> tuple[int, int]:
        """Start of the elements and their count, all of them inside the file."""
        start = self.follow(at, what)
        count = self.read("<I", start, what)
        if start + 4 + count * width > len(self.data):
            raise self.fail(f"{what} has {count:,} entries, more than the file holds", start)
        self.room -= count * width
        if self.room < 0:
            raise self.fail("the same data is referenced too often", at)
        return start + 4, count

    def table(self, name: str, at: int) -> None:
        self.tables -= 1
        if self.tables < 0:
            raise self.fail("more tables are referenced than the file can hold", at)
        vtable = at - self.read("<i", at, name)
        size, inline = self.read("<H", vtable, name), self.read("<H", vtable + 2, name)
        if size < 4 or size % 2 or vtable + size > len(self.data) or at + inline > len(self.data):
            raise self.fail(f"the {name} table is malformed", at)
        for slot in range((size - 4) // 2):
            offset = self.read("<H", vtable + 4 + 2 * slot, name)
            if offset == 0:
                continue
            if offset >= inline:
                raise self.fail(f"field {slot} of {name} lies outside its table", at)
            self.field(_LAYOUT[name].get(slot), at + offset, at + inline, f"field {slot} of {name}")

    def field(self, kind: Field | None, at: int, end: int, what: str) -> None:
        if kind is None:
            return
        if isinstance(kind, int):
            if at + kind > end:
                raise self.fail(f"{what} lies outside its table", at)
        elif kind == "string":
            self.vector(at, 1, what)
        elif kind == "union":
            self.table("union", self.follow(at, what))
        elif isinstance(kind, tuple) and isinstance(kind[1], int):
            self.vector(at, kind[1], what)
        elif isinstance(kind, tuple) and kind[0] == "table":
            self.table(str(kind[1]), self.follow(at, what))
        else:
            start, count = self.vector(at, 4, what)
            for i in range(count):
                self.table(str(kind[1]), self.follow(start + 4 * i, what))


def check(data: bytes, file: str) -> None:
    """Check every offset that the importer will follow.

    Raises:
        ModelError: not a `.tflite`, truncated, or with an offset or count that leaves the file.
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelError(f"{file}: not a .tflite file (the identifier TFL3 is missing at byte 4).")
    checker = _Checker(data, file)
    checker.table("Model", checker.follow(0, "the root table"))
