# SPDX-License-Identifier: Apache-2.0
"""Graph, Schedule and Plan as text: one line per tensor and operator, and back.

    graph "main" file "kws.tflite" inputs(%0) outputs(%2)
    %0 "x" = input : int8[1,8,8,2] q(0.5, -3)
    %1 "w" = constant sha256:2c26b46b68ff : int8[4,1,1,2]
    %2 "y" = CONV_2D(%0, %1, none) {padding=SAME, stride_w=1, ...} : int8[1,8,8,4]
    end

A tensor that an operator writes is defined on the operator's line: name and type there belong together. The
others (inputs, constants, variables, results that nobody writes) have a line of their own. Operators are
numbered as they come. An operator's name and source are printed only where they are not the first result's
name and the graph's file, name and the operator's number. `#` starts a comment.

By default the text is for reading: constants, custom options and long lists of scales are digests, and the
buffers of activations are left out. With `data=True` everything is there and `parse_*` gives an equal value.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from thimble.ir import DType, Graph, Kind, Op, Quant, Source, Tensor, TensorId
from thimble.memory import Plan, Schedule
from thimble.text_parser import parse_graph, parse_plan, parse_schedule

__all__ = ["parse_graph", "parse_plan", "parse_schedule", "print_graph", "print_plan", "print_schedule"]

_FEW_SCALES = 4
_PER_LINE = 16


def print_graph(graph: Graph, *, data: bool = False) -> str:
    """A graph with dense ids as text; ends in a line break."""
    file = graph.ops[0].source.file if graph.ops else ""
    head = f"graph {_quoted(graph.name)} file {_quoted(file)} inputs{_refs(graph.inputs)} outputs{_refs(graph.outputs)}"
    home = _homes(graph)
    lines = [head + ("" if data else " elided")]
    lines += [_declaration(t, data) for t in graph.tensors if t.id not in home]
    lines += [_operator(graph, op, file, home, data) for op in graph.ops]
    return "\n".join([*lines, "end", ""])


def print_schedule(schedule: Schedule) -> str:
    """A schedule as text, sixteen operators to a line."""
    extra = "".join(
        f" {name} {value}"
        for name, value in (("peak", schedule.peak), ("lower_bound", schedule.lower_bound))
        if value is not None
    )
    order = schedule.order
    lines = [f"schedule {_quoted(schedule.method)}{extra} nodes {schedule.nodes}"]
    lines += ["order " + " ".join(str(i) for i in order[at : at + _PER_LINE]) for at in range(0, len(order), _PER_LINE)]
    return "\n".join([*lines, "end", ""])


def print_plan(plan: Plan, *, data: bool = False) -> str:
    """A plan as text: its graph, its schedule, and where everything is (arena + offset)."""
    lines = ["plan", *(f"arena {i} height {height}" for i, height in enumerate(plan.heights))]
    for index, place in plan.placements:
        tensor = plan.graph.tensors[index]
        lines.append(f"place %{index} at {place.arena} + {place.offset}  # {_quoted(tensor.name)}, {tensor.nbytes:,} B")
    for scratch in plan.scratch:
        place = scratch.placement
        lines.append(f"scratch {scratch.op} size {scratch.size} at {place.arena} + {place.offset}")
    return print_graph(plan.graph, data=data) + print_schedule(plan.schedule) + "\n".join([*lines, "end", ""])


def _homes(graph: Graph) -> dict[TensorId, int]:
    """Tensors that are defined on the line of the operator that writes them first."""
    found: dict[TensorId, int] = {}
    for op in graph.ops:
        for index in op.outputs:
            tensor = graph.tensors[index]
            if tensor.kind is Kind.ACTIVATION and tensor.data is None:
                found.setdefault(index, op.id)
    return found


def _declaration(tensor: Tensor, data: bool) -> str:
    content = "" if tensor.data is None else f" {_bytes(tensor.data, data)}"
    return f"%{tensor.id} {_quoted(tensor.name)} = {tensor.kind.value}{content} : {_type(tensor, data)}"


def _operator(graph: Graph, op: Op, file: str, home: dict[TensorId, int], data: bool) -> str:
    # A tensor that an operator lists twice among its results is defined the first time.
    fresh = [home.get(t) == op.id and t not in op.outputs[:place] for place, t in enumerate(op.outputs)]
    tensors = [graph.tensors[t] for t in op.outputs]
    results = [f"%{t.id} {_quoted(t.name)}" if new else f"%{t.id}" for t, new in zip(tensors, fresh, strict=True)]
    types = [_type(t, data) for t, new in zip(tensors, fresh, strict=True) if new]
    operands = ", ".join("none" if i is None else f"%{i}" for i in op.inputs)
    line = f"{', '.join(results) or '()'} = {op.attrs.OP}({operands}) {_attrs(op, data)}"
    line += f" : {', '.join(types)}" if types else ""
    line += f" intermediates{_refs(op.intermediates)}" if op.intermediates else ""
    line += "" if tensors and op.name == tensors[0].name else f" named {_quoted(op.name)}"
    if op.source != Source(file, graph.name, op.id):
        line += f" from {_quoted(op.source.file)} {_quoted(op.source.graph)} {op.source.index}"
    return line


def _attrs(op: Op, data: bool) -> str:
    fields = dataclasses.fields(op.attrs)
    return "{" + ", ".join(f"{f.name}={_value(getattr(op.attrs, f.name), data)}" for f in fields) + "}"


def _value(value: Any, data: bool) -> str:
    if isinstance(value, DType):
        return value.label
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bytes):
        return _bytes(value, data)
    return _numbers(value) if isinstance(value, tuple) else repr(value)


def _type(tensor: Tensor, data: bool) -> str:
    text = f"{tensor.dtype.label}{_numbers(tensor.shape, ',')}"
    text += "" if tensor.quant is None else f" {_quant(tensor.quant, data)}"
    text += "" if tensor.signature is None else f" signature {_numbers(tensor.signature, ',')}"
    shown = tensor.buffer and (data or tensor.kind is Kind.CONSTANT)
    return text + (f" buffer {tensor.buffer}" if shown else "")


def _quant(quant: Quant, data: bool) -> str:
    axis = f", axis={quant.axis}" if quant.axis else ""
    if len(quant.scale) > _FEW_SCALES and not data:
        digest = _bytes(repr((quant.scale, quant.zero_point)).encode(), data=False)
        return f"q({len(quant.scale)} scales {digest}{axis})"
    scale = repr(quant.scale[0]) if len(quant.scale) == 1 else _numbers(quant.scale)
    point = str(quant.zero_point[0]) if len(quant.zero_point) == 1 else _numbers(quant.zero_point)
    return f"q({scale}, {point}{axis})"


def _numbers(values: Iterable[float], comma: str = ", ") -> str:
    return "[" + comma.join(repr(v) for v in values) + "]"


def _refs(tensors: Iterable[TensorId]) -> str:
    return "(" + ", ".join(f"%{t}" for t in tensors) + ")"


def _bytes(value: bytes, data: bool) -> str:
    if data:
        return "base64:" + base64.b64encode(value).decode("ascii")
    return "sha256:" + hashlib.sha256(value).hexdigest()[:12]


def _quoted(text: str) -> str:
    """A JSON string: one line of ASCII whatever the name holds."""
    return json.dumps(text)
