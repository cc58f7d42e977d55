# SPDX-License-Identifier: Apache-2.0
"""Rows handed over one after another, in C: an inference that stops for the application and goes on when it is told to.

What waits is a position in the tables of turns, which lies in the arena; nothing is kept on the stack.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from string import Template

from thimble import c_arenas
from thimble.ir import Kind, Tensor
from thimble.kernel import C_TYPES, GIVE_ROW, TAKE_ROW
from thimble.program import Program, Step, Stream


class Event(enum.IntEnum):
    """What an inference says when it stops. In C the names have a prefix."""

    ROW_WANTED = 0  # the application is to write the next row of the input
    COMPLETE = 1
    ROW_READY = 2  # the application is to read the next row of the output


@dataclass(frozen=True, slots=True)
class Handed:
    """An input or output that passes row by row: its place among them, and where its rows are in the arena."""

    kind: str  # "input" or "output"
    index: int
    tensor: Tensor
    arena: int
    offset: int
    kept: int

    @property
    def rows(self) -> int:
        return self.tensor.shape[1]

    @property
    def row_bytes(self) -> int:
        return self.tensor.nbytes // self.rows


def handed(program: Program) -> tuple[Handed, ...]:
    """What passes row by row: at most one input and then one output."""
    return tuple(_handed(program, step) for kernel in (TAKE_ROW, GIVE_ROW) for step in _steps(program, kernel))


def _steps(program: Program, kernel: str) -> Iterator[Step]:
    return (step for step in program.steps if step.call.kernel == kernel)


def _handed(program: Program, step: Step) -> Handed:
    op, graph = program.graph.ops[step.op], program.graph
    (inside,) = step.reads or step.writes
    kind, ports = ("output", graph.outputs) if step.reads else ("input", graph.inputs)
    (tensor,) = (t for t in (*graph.operands(op), *graph.results(op)) if t is not None and t.kind is Kind.OUTSIDE)
    kept = dict(program.rings).get(inside.view.tensor.id, tensor.shape[1])
    return Handed(kind, ports.index(tensor.id), tensor, inside.arena, inside.offset, kept)


def stops(program: Program, stream: Stream) -> bool:
    """Whether a stream waits for the application."""
    return any(step.call.hands_over for step in program.steps[stream.first : stream.end])


def stop(program: Program, step: Step) -> str:
    """What the loop of a stream does at the turn of a step that hands over a row."""
    event = Event.ROW_READY if step.reads else Event.ROW_WANTED
    return f"at->row = row; return {event_name(program.name, event)};"


def event_name(name: str, event: Event) -> str:
    """What C calls an event."""
    return f"{name.upper()}_{event.name}"


def prelude(program: Program) -> str:
    """What stands before the streams: where an inference stands."""
    return _filled("rows_position.c", program)


def functions(program: Program, parts: Iterable[tuple[tuple[str, ...], str]]) -> str:
    """The functions of the interface; a part is some statements and, where it may stop, the call that says why."""
    numbered = tuple(enumerate(parts))
    body = "\n".join(line for number, (lines, call) in numbered for line in _part(program, number, lines, call))
    return _filled("rows.c", program, parts=body)


def _part(program: Program, number: int, lines: tuple[str, ...], call: str) -> Iterator[str]:
    yield f"  if (at->part == {number}) {{"
    yield from (f"  {line}" for line in lines)
    if call:
        yield f"    const int event = {call};"
        yield f"    if (event != {event_name(program.name, Event.COMPLETE)}) {{"
        yield "      return event;"
        yield "    }"
    yield f"    at->part = {number + 1};"
    yield "    at->turn = 0;"
    yield "  }"


def parameter(program: Program) -> str:
    """The parameter of the functions for streams besides their arenas."""
    return f"{program.name}_position *at"


def idle(program: Program) -> str:
    """A statement of `init`: no inference has begun."""
    return f"  position({c_arenas.argument(program)})->part = INT32_MAX;"


def interface(program: Program) -> str:
    """Declarations of what begins an inference and goes on with it."""
    return _filled("rows.h", program)


def port(program: Program, tensor: Tensor) -> list[str]:
    """Definitions for an input or output that passes row by row."""
    (own,) = (h for h in handed(program) if h.tensor.id == tensor.id)
    prefix = f"{program.name.upper()}_{own.kind.upper()}_{own.index}"
    return [
        f"#define {prefix}_ROWS {own.rows}",
        f"#define {prefix}_ROW_ELEMENTS {tensor.elements // own.rows}",
        f"#define {prefix}_ROW_BYTES {own.row_bytes}",
    ]


def feeding(program: Program, wanted: str, ready: str, arena: str) -> str:
    """A loop that runs an inference in an arena, with statements for the rows of the input and of the output."""
    does = {"input": (Event.ROW_WANTED, wanted), "output": (Event.ROW_READY, ready)}
    blocks = ((event_name(program.name, does[h.kind][0]), does[h.kind][1]) for h in handed(program))
    return "\n".join(
        [
            f"  int event = {program.name}_begin({arena});",
            f"  while (event != {event_name(program.name, Event.COMPLETE)}) {{",
            *(f"    if (event == {event}) {{\n{text}\n    }}" for event, text in blocks),
            f"    event = {program.name}_row_done({arena});",
            "  }",
        ]
    )


def usage(program: Program) -> str:
    """How to run an inference, for the header's comment."""
    name = program.name
    rows = {
        "input": (Event.ROW_WANTED, f"write the next row to {name}_next_row(arena), as soon as there is one"),
        "output": (Event.ROW_READY, f"read the next row from {name}_out_row(arena)"),
    }
    events = [rows[h.kind] for h in handed(program)]
    events.append((Event.COMPLETE, "all other outputs are there, and valid until the next inference begins"))
    return "\n".join(
        [
            f" *   {name}_init(arena);   once; also forgets what the network keeps between inferences",
            f" *   {name}_begin(arena), then {name}_row_done(arena) again and again; they return what is to be done:",
            *(f" *     {event_name(program.name, event)}: {what}" for event, what in events),
            " *",
            f" * {name}_invoke does all that with images in memory. Inputs that are not handed over row by row are to",
            " * be filled before an inference begins. While it waits, the arena must be left alone; beginning another",
            " * gives it up.",
        ]
    )


def _filled(name: str, program: Program, **more: str) -> str:
    text = (resources.files("thimble") / "templates" / name).read_text(encoding="utf-8")
    text = text.partition("*/\n")[2]  # the licence is in the file that this becomes a part of
    arena = c_arenas.argument(program)
    ends = handed(program)
    images = [f"{'const ' * (h.kind == 'input')}{C_TYPES[h.tensor.dtype]} *{h.kind}" for h in ends]
    words = {
        "name": program.name,
        "NAME": program.name.upper(),
        "parameter": c_arenas.parameter(program),
        "images": ", ".join(images),
        "position": f"{c_arenas.member(program, 0)} + {program.position}",
        "argument": arena,
        "events": "\n".join(_events(program)),
        "declarations": "\n".join(f"{declared};" for declared in _rows(program)),
        "rows": "\n".join(_row_functions(program)),
        "feeding": feeding(program, *_copies(program), arena),
    }
    return Template(text).substitute(words, **more)


def _events(program: Program) -> Iterator[str]:
    own = {Event.ROW_WANTED: "input", Event.ROW_READY: "output"}
    indices = {h.kind: h.index for h in handed(program)}
    for event in Event:
        kind = own.get(event)
        if kind is None or kind in indices:
            what = "" if kind is None else f" /* of {kind} {indices[kind]} */"
            yield f"#define {event_name(program.name, event)} {event.value}{what}"


def _rows(program: Program) -> Iterator[str]:
    name, parameter = program.name, c_arenas.parameter(program)
    for h in handed(program):
        ctype = C_TYPES[h.tensor.dtype]
        yield (
            f"{ctype} *{name}_next_row({parameter})"
            if h.kind == "input"
            else (f"const {ctype} *{name}_out_row({parameter})")
        )


def _row_functions(program: Program) -> Iterator[str]:
    for h, declared in zip(handed(program), _rows(program), strict=True):
        ctype = declared.partition("*")[0]
        row = f"position({c_arenas.argument(program)})->row % {h.kept}"
        start = f"{c_arenas.member(program, h.arena)} + {h.offset} + {row} * {h.row_bytes}"
        yield f"{declared} {{\n  return ({ctype}*)(void *)({start});\n}}\n"


def _copies(program: Program) -> tuple[str, str]:
    """Statements that copy a row of the input from an image in memory, and a row of the output to one."""
    name, upper, arena = program.name, program.name.upper(), c_arenas.argument(program)
    index = {h.kind: f"{upper}_{h.kind.upper()}_{h.index}" for h in handed(program)}
    wanted = f"      memcpy({name}_next_row({arena}), input, {index.get('input')}_ROW_BYTES);\n"
    wanted += f"      input += {index.get('input')}_ROW_ELEMENTS;"
    ready = f"      memcpy(output, {name}_out_row({arena}), {index.get('output')}_ROW_BYTES);\n"
    ready += f"      output += {index.get('output')}_ROW_ELEMENTS;"
    return wanted, ready
