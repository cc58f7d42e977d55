# SPDX-License-Identifier: Apache-2.0
"""Operator attributes from the schema's options tables, one reader for all operators.

A field of an `Attrs` dataclass is named as in the schema, so its accessor in the generated reader
follows from its name, and its type says how to convert what the accessor returns.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import typing
from typing import Any

import flatbuffers.table

from thimble.errors import ModelError
from thimble.ir import OURS, Attrs, DType

# Options tables are not walked by `flatbuffer.check`, and many operators may share one: hence limits.
_MOST_ENTRIES = 64  # vectors here have an entry per dimension
_LONGEST_TEXT = 4096  # bytes; strings here are names of variables

# TensorType of the schema, in the order of its codes.
_TENSOR_TYPES = (
    DType.FLOAT32,
    DType.FLOAT16,
    DType.INT32,
    DType.UINT8,
    DType.INT64,
    DType.STRING,
    DType.BOOL,
    DType.INT16,
    DType.COMPLEX64,
    DType.INT8,
    DType.FLOAT64,
    DType.COMPLEX128,
    DType.UINT64,
    DType.RESOURCE,
    DType.VARIANT,
    DType.UINT32,
    DType.UINT16,
    DType.INT4,
    DType.BFLOAT16,
)


def dtype_of(code: int) -> DType:
    """The element type with this code in the schema's TensorType.

    Raises:
        ValueError: a code that the schema does not have.
    """
    if not 0 <= code < len(_TENSOR_TYPES):
        raise ValueError(f"element type {code} is not in the schema")
    return _TENSOR_TYPES[code]


def code_of(dtype: DType) -> int:
    """The schema's TensorType code of an element type."""
    return _TENSOR_TYPES.index(dtype)


def accessor(field: str) -> str:
    """Name of the generated accessor of a schema field: `stride_w` -> `StrideW`."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_"))


@functools.cache
def _field_types(cls: type[Attrs]) -> tuple[tuple[str, Any], ...]:
    hints = typing.get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls) if field.metadata != OURS)


def _value(table: Any, name: str, kind: Any) -> Any:
    get = getattr(table, accessor(name))
    if typing.get_origin(kind) is tuple:
        count = getattr(table, accessor(name) + "Length")()
        if count > _MOST_ENTRIES:
            raise ModelError(f"{name} has {count:,} entries, {_MOST_ENTRIES} are the most allowed")
        return tuple(int(get(i)) for i in range(count))
    value = get()
    if kind is DType:
        return dtype_of(value)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if kind is str:
        if value is not None and len(value) > _LONGEST_TEXT:
            raise ModelError(f"{name} has {len(value):,} bytes, {_LONGEST_TEXT:,} are the most allowed")
        return "" if value is None else value.decode("utf-8", "replace")
    return kind(value)


def read_attrs(cls: type[Attrs], union: flatbuffers.table.Table | None) -> Attrs:
    """The attributes of class `cls` in an options table; the schema's defaults where there is none."""
    if union is None or not cls.OPTIONS:
        return cls()
    table = getattr(importlib.import_module(f"tflite.{cls.OPTIONS}"), cls.OPTIONS)()
    table.Init(union.Bytes, union.Pos)
    # mypy looks for the hash of an instance where the class itself is the key.
    return cls(**{name: _value(table, name, kind) for name, kind in _field_types(cls)})  # type: ignore[arg-type]
