# SPDX-License-Identifier: Apache-2.0
"""The inverse of `text.py`: a small strict parser that names the line of the first thing it does not expect."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from thimble.errors import ModelError
from thimble.ir import Attrs, Custom, DType, Graph, Kind, Op, Opaque, OpId, Source, Tensor, TensorId
from thimble.memory import Plan, Schedule
from thimble.ops import OPERATORS

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


def parse_graph(text: str) -> Graph:
    """The graph that `print_graph(graph, data=True)` printed.

    Raises:
        ModelError: the text is not such a graph; the message names the line.
    """
    return _whole(text, _graph)


def parse_schedule(text: str) -> Schedule:
    """The schedule that `print_schedule` printed. Raises `ModelError` as `parse_graph` does."""
    return _whole(text, _schedule)


def parse_plan(text: str) -> Plan:
    """The plan that `print_plan(plan, data=True)` printed. Raises `ModelError` as `parse_graph` does."""
    return _whole(text, _plan)


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

    def bytes(self) -> bytes:
        return self.convert(
            "bytes", "base64 data (print with data=True)", lambda text: base64.b64decode(text[7:], validate=True)
        )


def _whole(text: str, rule: Callable[[_Tokens], _T]) -> _T:
    tokens = _Tokens(text)
    value = rule(tokens)
    tokens.take("end of text")
    return value


def _graph(tokens: _Tokens) -> Graph:
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
        _definition(tokens, tensors, ops, Source(file, name, len(ops)))
        tokens.end_line()
    missing = next((i for i in range(len(tensors)) if i not in tensors), None)
    if missing is not None:
        tokens.fail(f"a definition of tensor %{missing}")
    tokens.skip("end")
    tokens.end_line()
    return Graph(name, tuple(tensors[TensorId(i)] for i in range(len(tensors))), tuple(ops), inputs, outputs)


def _definition(tokens: _Tokens, tensors: dict[TensorId, Tensor], ops: list[Op], source: Source) -> None:
    """One line: a tensor, or an operator and the tensors it defines."""
    results: list[tuple[TensorId, str | None]] = []
    if tokens.peek("("):
        tokens.skip("(", ")")
    else:
        results.append(_result(tokens, tensors))
        while tokens.skips(","):
            results.append(_result(tokens, tensors))
    tokens.skip("=")
    if tokens.tokens[tokens.at][1] in _KINDS:
        if len(results) != 1 or results[0][1] is None:
            tokens.fail("an operator, since there is not one named result,")
        index, name = results[0]
        kind = _KINDS[tokens.take("word")]
        data = None if tokens.peek(":") else tokens.bytes()
        tokens.skip(":")
        tensors[index] = dataclasses.replace(_type(tokens, index, name or ""), kind=kind, data=data)
    else:
        ops.append(_operator(tokens, tensors, results, source))


def _result(tokens: _Tokens, tensors: dict[TensorId, Tensor]) -> tuple[TensorId, str | None]:
    at = tokens.at
    index = tokens.ref()
    name = tokens.string() if tokens.kind() == "string" else None
    if name is not None and index in tensors:
        tokens.at = at
        tokens.fail("a tensor that is not defined yet")
    return index, name


def _operator(
    tokens: _Tokens, tensors: dict[TensorId, Tensor], results: list[tuple[TensorId, str | None]], source: Source
) -> Op:
    cls = tokens.convert("word", "an operator's name or input, constant, variable, activation", _ATTRS.__getitem__)
    inputs = tokens.items("(", ")", lambda: None if tokens.skips("none") else tokens.ref())
    attrs = _attrs(tokens, cls)
    separator = ":"
    for index, given in results:
        if given is not None:
            tokens.skip(separator)
            tensors[index] = _type(tokens, index, given)
            separator = ","
    intermediates = tokens.items("(", ")", tokens.ref) if tokens.skips("intermediates") else ()
    if tokens.skips("named"):
        name = tokens.string()
    elif results and results[0][0] in tensors:
        name = tensors[results[0][0]].name
    else:
        tokens.fail("'named' and the operator's name")
    if tokens.skips("from"):
        source = Source(tokens.string(), tokens.string(), tokens.integer())
    index_of = OpId(len_index(source, tokens))
    return Op(index_of, name, attrs, inputs, tuple(i for i, _ in results), source, intermediates)
