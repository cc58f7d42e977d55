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

By default the text is for reading: constants, custom options and long lists of scales are digests, scales have
six digits, and the buffers of activations are left out. With `data=True` everything is there and `parse_*`
gives an equal value.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import json
import re
import typing
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from thimble.errors import ModelError
from thimble.ir import OURS, Attrs, Custom, DType, Graph, Kind, Op, Opaque, OpId, Quant, Source, Tensor, TensorId
from thimble.memory import Placement, Plan, Schedule, Scratch
from thimble.ops import OPERATORS
from thimble.ops.customs import custom

_FEW_SCALES = 4
_PER_LINE = 16
_T = TypeVar("_T")
_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*") | (?P<ref>%\d+) | (?P<bytes>base64:[A-Za-z0-9+/=]*)
    | (?P<digest>sha256:[0-9a-f]+) | (?P<number>-?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|inf\b|nan\b))
    | (?P<word>[A-Za-z_]\w*) | (?P<mark>[()\[\]{}=,:+]) | (?P<space>[ \t\r]+|\#.*) | (?P<other>.)""",
    re.VERBOSE,
)
_ATTRS: dict[str, type[Attrs]] = {**OPERATORS, Custom.OP: Custom, Opaque.OP: Opaque}
_DTYPES = {dtype.label: dtype for dtype in DType}
_KINDS = {kind.value: kind for kind in Kind}


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
    content = "" if tensor.data is None else f" {_content(tensor.data, data)}"
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
    fields = [f for f in dataclasses.fields(op.attrs) if f.metadata != OURS or getattr(op.attrs, f.name) != f.default]
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
        return _content(value, data)
    return _numbers(value) if isinstance(value, tuple) else repr(value)


def _type(tensor: Tensor, data: bool) -> str:
    text = f"{tensor.dtype.label}{_numbers(tensor.shape, ',')}"
    text += "" if tensor.quant is None else f" {_quant(tensor.quant, data)}"
    text += "" if tensor.signature is None else f" signature {_numbers(tensor.signature, ',')}"
    shown = tensor.buffer and (data or tensor.kind is Kind.CONSTANT)
    return text + (f" buffer {tensor.buffer}" if shown else "")


def _quant(quant: Quant, data: bool) -> str:
    axis = (f", axis={quant.axis}" if quant.axis else "") + (", legacy" if quant.legacy else "")
    if len(quant.scale) > _FEW_SCALES and not data:
        digest = _content(repr((quant.scale, quant.zero_point)).encode(), data=False)
        return f"q({len(quant.scale)} scales {digest}{axis})"
    scales = quant.scale if data else [float(f"{s:.6g}") for s in quant.scale]
    scale = repr(scales[0]) if len(scales) == 1 else _numbers(scales)
    point = str(quant.zero_point[0]) if len(quant.zero_point) == 1 else _numbers(quant.zero_point)
    return f"q({scale}, {point}{axis})"


def _numbers(values: Iterable[float], comma: str = ", ") -> str:
    return "[" + comma.join(repr(v) for v in values) + "]"


def _refs(tensors: Iterable[TensorId]) -> str:
    return "(" + ", ".join(f"%{t}" for t in tensors) + ")"


def _content(value: bytes, data: bool) -> str:
    if data:
        return "base64:" + base64.b64encode(value).decode("ascii")
    return "sha256:" + hashlib.sha256(value).hexdigest()[:12]


def _quoted(text: str) -> str:
    """A JSON string: one line of ASCII whatever the name holds."""
    return json.dumps(text)


def parse_graph(text: str) -> Graph:
    """The graph that `print_graph(graph, data=True)` printed.

    Raises:
        ModelError: the text is not such a graph; the message names the line.
    """
    return _whole(text, _read_graph)


def parse_schedule(text: str) -> Schedule:
    """The schedule that `print_schedule` printed. Raises `ModelError` as `parse_graph` does."""
    return _whole(text, _read_schedule)


def parse_plan(text: str) -> Plan:
    """The plan that `print_plan(plan, data=True)` printed. Raises `ModelError` as `parse_graph` does."""
    return _whole(text, _read_plan)


class _Tokens:
    """All tokens of a text, line by line; a line's end is a token of its own, empty lines are left out."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []
        for number, line in enumerate(text.split("\n"), 1):
            found = [(str(m.lastgroup), m.group(), number) for m in _TOKEN.finditer(line) if m.lastgroup != "space"]
            self.tokens += [*found, ("end of line", "", number)] if found else []
        self.tokens.append(("end of text", "", text.count("\n") + 1))
        self.at = 0

    def fail(self, expected: str) -> NoReturn:
        kind, value, line = self.tokens[self.at]
        shown = value if len(value) <= 40 else value[:37] + "..."
        raise ModelError(f"line {line}: expected {expected}, found {shown or kind}")

    def peek(self, *values: str) -> bool:
        return self.tokens[self.at][1] in values

    def kind(self) -> str:
        return self.tokens[self.at][0]

    def take(self, kind: str, expected: str | None = None) -> str:
        if self.kind() != kind:
            self.fail(expected or kind)
        self.at += 1
        return self.tokens[self.at - 1][1]

    def skip(self, *values: str) -> None:
        for value in values:
            if not self.peek(value):
                self.fail(f"'{value}'")
            self.at += 1

    def skips(self, value: str) -> bool:
        """Whether the next token is `value`, which is then taken."""
        found = self.peek(value)
        self.at += found
        return found

    def end_line(self) -> None:
        self.take("end of line")

    def items(self, opening: str, closing: str, item: Callable[[], _T]) -> tuple[_T, ...]:
        """A bracketed list with commas."""
        self.skip(opening)
        found: list[_T] = []
        while not self.peek(closing):
            if found:
                self.skip(",")
            found.append(item())
        self.skip(closing)
        return tuple(found)

    def convert(self, kind: str, expected: str, to: Callable[[str], _T]) -> _T:
        text = self.take(kind, expected)
        try:
            return to(text)
        except (ValueError, KeyError):
            self.at -= 1
            self.fail(expected)

    def integer(self) -> int:
        return self.convert("number", "a whole number", int)

    def real(self) -> float:
        return self.convert("number", "a number", float)

    def string(self) -> str:
        return self.convert("string", "a quoted string", lambda text: str(json.loads(text)))

    def ref(self) -> TensorId:
        return self.convert("ref", "a tensor such as %3", lambda text: TensorId(int(text[1:])))

    def data(self) -> bytes:
        return self.convert(
            "bytes", "base64 data (print with data=True)", lambda text: base64.b64decode(text[7:], validate=True)
        )


def _whole(text: str, rule: Callable[[_Tokens], _T]) -> _T:
    tokens = _Tokens(text)
    value = rule(tokens)
    tokens.take("end of text")
    return value


def _read_graph(tokens: _Tokens) -> Graph:
    tokens.skip("graph")
    name = tokens.string()
    tokens.skip("file")
    file = tokens.string()
    tokens.skip("inputs")
    inputs = tokens.items("(", ")", tokens.ref)
    tokens.skip("outputs")
    outputs = tokens.items("(", ")", tokens.ref)
    if tokens.peek("elided"):
        tokens.fail("a graph with its data (print with data=True)")
    tokens.end_line()
    tensors: dict[TensorId, Tensor] = {}
    ops: list[Op] = []
    while not tokens.peek("end"):
        _read_definition(tokens, tensors, ops, Source(file, name, len(ops)))
        tokens.end_line()
    missing = next((i for i in range(len(tensors)) if i not in tensors), None)
    if missing is not None:
        tokens.fail(f"a definition of tensor %{missing}")
    tokens.skip("end")
    tokens.end_line()
    return Graph(name, tuple(tensors[TensorId(i)] for i in range(len(tensors))), tuple(ops), inputs, outputs)


def _read_definition(tokens: _Tokens, tensors: dict[TensorId, Tensor], ops: list[Op], source: Source) -> None:
    """One line: a tensor, or an operator and the tensors it defines."""
    results: list[tuple[TensorId, str | None]] = []
    if tokens.peek("("):
        tokens.skip("(", ")")
    else:
        results.append(_read_result(tokens, tensors))
        while tokens.skips(","):
            results.append(_read_result(tokens, tensors))
    tokens.skip("=")
    if tokens.tokens[tokens.at][1] in _KINDS:
        if len(results) != 1 or results[0][1] is None:
            tokens.fail("an operator, since there is not one named result,")
        index, name = results[0]
        kind = _KINDS[tokens.take("word")]
        data = None if tokens.peek(":") else tokens.data()
        tokens.skip(":")
        tensors[index] = dataclasses.replace(_read_type(tokens, index, name or ""), kind=kind, data=data)
    else:
        ops.append(_read_operator(tokens, tensors, results, source))


def _read_result(tokens: _Tokens, tensors: dict[TensorId, Tensor]) -> tuple[TensorId, str | None]:
    at = tokens.at
    index = tokens.ref()
    name = tokens.string() if tokens.kind() == "string" else None
    if name is not None and index in tensors:
        tokens.at = at
        tokens.fail("a tensor that is not defined yet")
    return index, name


def _read_operator(
    tokens: _Tokens, tensors: dict[TensorId, Tensor], results: list[tuple[TensorId, str | None]], home: Source
) -> Op:
    cls = tokens.convert("word", "an operator, or input, constant, variable, activation,", _ATTRS.__getitem__)
    inputs = tokens.items("(", ")", lambda: None if tokens.skips("none") else tokens.ref())
    attrs = _read_attrs(tokens, cls)
    separator = ":"
    for index, given in results:
        if given is not None:
            if index in tensors:
                tokens.fail(f"one definition of %{index}, not two,")
            tokens.skip(separator)
            tensors[index] = _read_type(tokens, index, given)
            separator = ","
    intermediates = tokens.items("(", ")", tokens.ref) if tokens.skips("intermediates") else ()
    first = tensors.get(results[0][0]) if results else None
    if first is None and not tokens.peek("named"):
        tokens.fail("'named' and the operator's name")
    name = tokens.string() if tokens.skips("named") else first.name if first else ""
    source = Source(tokens.string(), tokens.string(), tokens.integer()) if tokens.skips("from") else home
    return Op(OpId(home.index), name, attrs, inputs, tuple(i for i, _ in results), source, intermediates)


def _read_attrs(tokens: _Tokens, cls: type[Attrs]) -> Attrs:
    """All fields of the class, in its order; the last ones may be left out if they are ours."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    tokens.skip("{")
    for field in dataclasses.fields(cls):
        if field.metadata == OURS and tokens.peek("}"):
            break
        if values:
            tokens.skip(",")
        tokens.skip(field.name, "=")
        values[field.name] = _read_value(tokens, hints[field.name])
    tokens.skip("}")
    return custom(**values) if cls is Custom else cls(**values)


def _read_value(tokens: _Tokens, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        return tokens.items("[", "]", tokens.integer)
    if kind is bool:
        return tokens.convert("word", "true or false", {"true": True, "false": False}.__getitem__)
    if kind is DType:
        return tokens.convert("word", "an element type", _DTYPES.__getitem__)
    if issubclass(kind, enum.Enum):
        return tokens.convert("word", f"one of {', '.join(kind.__members__)}", kind.__getitem__)
    return {int: tokens.integer, float: tokens.real, str: tokens.string, bytes: tokens.data}[kind]()


def _read_type(tokens: _Tokens, index: TensorId, name: str) -> Tensor:
    dtype = tokens.convert("word", "an element type", _DTYPES.__getitem__)
    shape = tokens.items("[", "]", tokens.integer)
    quant = _read_quant(tokens) if tokens.skips("q") else None
    signature = tokens.items("[", "]", tokens.integer) if tokens.skips("signature") else None
    buffer = tokens.integer() if tokens.skips("buffer") else 0
    return Tensor(index, name, shape, dtype, quant, signature=signature, buffer=buffer)


def _read_quant(tokens: _Tokens) -> Quant:
    tokens.skip("(")
    scale = tokens.items("[", "]", tokens.real) if tokens.peek("[") else (tokens.real(),)
    tokens.skip(",")
    point = tokens.items("[", "]", tokens.integer) if tokens.peek("[") else (tokens.integer(),)
    axis, legacy = 0, False
    while tokens.skips(","):
        if tokens.skips("legacy"):
            legacy = True
            continue
        tokens.skip("axis", "=")
        axis = tokens.integer()
    tokens.skip(")")
    return Quant(scale, point, axis, legacy)


def _read_schedule(tokens: _Tokens) -> Schedule:
    tokens.skip("schedule")
    method = tokens.string()
    peak = tokens.integer() if tokens.skips("peak") else None
    bound = tokens.integer() if tokens.skips("lower_bound") else None
    tokens.skip("nodes")
    nodes = tokens.integer()
    tokens.end_line()
    order: list[OpId] = []
    while tokens.skips("order"):
        while tokens.kind() == "number":
            order.append(OpId(tokens.integer()))
        tokens.end_line()
    tokens.skip("end")
    tokens.end_line()
    return Schedule(tuple(order), method, peak, bound, nodes)


def _read_plan(tokens: _Tokens) -> Plan:
    graph, schedule = _read_graph(tokens), _read_schedule(tokens)
    tokens.skip("plan")
    tokens.end_line()
    heights: list[int] = []
    while tokens.skips("arena"):
        tokens.skip(str(len(heights)), "height")
        heights.append(tokens.integer())
        tokens.end_line()
    placements = []
    while tokens.skips("place"):
        placements.append((tokens.ref(), _read_placement(tokens)))
        tokens.end_line()
    scratch = []
    while tokens.skips("scratch"):
        op = OpId(tokens.integer())
        tokens.skip("size")
        scratch.append(Scratch(op, tokens.integer(), _read_placement(tokens)))
        tokens.end_line()
    tokens.skip("end")
    tokens.end_line()
    return Plan(graph, schedule, tuple(placements), tuple(scratch), tuple(heights))


def _read_placement(tokens: _Tokens) -> Placement:
    tokens.skip("at")
    arena = tokens.integer()
    tokens.skip("+")
    return Placement(arena, tokens.integer())
