# SPDX-License-Identifier: Apache-2.0
"""Program to C: {path: text}, and nothing is written here.

NAME.h          the documented API              NAME_weights.c   constants of more than a few bytes
NAME.c          one function per operator       NAME_arena.c     the arena, for those who supply none
thimble/*.h     the kernels that are used
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from string import Template

import numpy as np

from thimble import c_arenas, c_rows
from thimble.ir import DType, Graph, Kind, Tensor, short_name
from thimble.kernel import C_TYPES, Data, Fields
from thimble.program import FLASH, Access, ByRow, Program, Step, Stream


@dataclass(frozen=True, slots=True)
class Constant:
    """An array in flash: what is stored once however often it is used. `what` is for the comment above it."""

    symbol: str
    dtype: DType
    what: str
    data: bytes
    flash: bool  # in the address space of constants; operands of kernels are not, see `kernels/base.h`
    step: int | None = None  # the first one that uses it, if a step does

    @property
    def ctype(self) -> str:
        return C_TYPES[self.dtype]

    @property
    def elements(self) -> int:
        return len(self.data) * 8 // max(8, self.dtype.bits)


# The name is a prefix in C, and the name of files, of a library and of a CMake target: keywords of C and C++, standard
# headers, libraries and targets that exist everywhere are left alone.
_TAKEN = """
    alignas alignof and asm assert auto bool break case catch char class const constexpr continue default delete do
    double else enum explicit export extern false float for friend goto if inline int long mutable namespace new
    noexcept not nullptr operator or private protected public register restrict return short signed sizeof static
    struct switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void
    volatile while xor main
    ctype errno fenv inttypes limits locale math setjmp signal stdarg stddef stdint stdio stdlib string time
    all clean c dl edit_cache gcc help install m package pthread rebuild_cache rt test arduino thimble
"""
RESERVED = frozenset(_TAKEN.split())
LONGEST_NAME = 48


def identifier(name: str) -> str:
    """A name as a C identifier that no compiler, standard header or build tool has a use for."""
    cleaned = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()[:LONGEST_NAME].rstrip("_") or "model"
    return f"m_{cleaned}" if cleaned[0].isdigit() or cleaned in RESERVED else cleaned


def emit(program: Program, *, weights: bool = True) -> dict[str, str]:
    """The C sources of a program, by path within the bundle; same program, same text.

    Without `weights` the file that defines the constants is left out: someone else does.
    """
    constants = constants_of(program)
    headers = sorted({step.call.header for step in program.steps if not step.call.hands_over})
    common = _common(program)
    name = program.name
    return {
        f"{name}.h": _template("model.h").substitute(common, **_api(program)),
        f"{name}.c": _template("model.c").substitute(
            common,
            includes="\n".join(f'#include "thimble/{header}"' for header in headers),
            functions="\n".join([*_prelude(program), *_functions(program, constants), *_streams(program)]),
            entry=_entry(program),
            init="\n".join(_init(program))
            or f"  (void){c_arenas.argument(program)}; /* nothing is kept between inferences */",
            startup=c_arenas.startup(program),
        ),
        f"{name}_weights.h": _template("weights.h").substitute(
            common,
            declarations="\n".join(map(_declaration, constants.values())) + c_arenas.place_macro(program),
        ),
        **(_weights_file(program, common, constants) if weights else {}),
        f"{name}_arena.c": _arena_file(program, common),
        **{f"thimble/{header}": text for header, text in kernel_sources([*headers, "base.h"]).items()},
    }


def _arena_file(program: Program, common: Mapping[str, str]) -> str:
    if program.layout is None and len(program.arenas) == 1:
        return _template("arena.c").substitute(common)
    return _template("placed_arena.c").substitute(
        common, place=c_arenas.place_macro(program), definitions=c_arenas.definitions(program)
    )


def _weights_file(
    program: Program, common: Mapping[str, str], constants: Mapping[tuple[str, bytes, bool], Constant]
) -> dict[str, str]:
    text = _template("weights.c").substitute(common, definitions="\n".join(_definitions(program, constants)))
    return {f"{program.name}_weights.c": text}


def kernel_sources(headers: list[str]) -> dict[str, str]:
    """Texts of the kernel headers and of all that they include."""
    folder = resources.files("thimble") / "kernels"
    texts: dict[str, str] = {}
    wanted = list(headers)
    while wanted:
        header = wanted.pop()
        if header not in texts:
            texts[header] = (folder / header).read_text(encoding="utf-8")
            wanted += re.findall(r'^#include "([\w.]+)"', texts[header], re.MULTILINE)
    return dict(sorted(texts.items()))


def constants_of(program: Program) -> dict[tuple[str, bytes, bool], Constant]:
    """Every array that the steps use, by C type, content and address space, in the order of their first use."""
    found: dict[tuple[str, bytes, bool], Constant] = {}
    for step, dtype, data, what, flash in _arrays(program):
        key = (C_TYPES[dtype], data, flash)
        if key not in found and data:
            found[key] = Constant(f"{program.name}_k{len(found)}", dtype, what, data, flash, step)
    return found


def _arrays(program: Program) -> Iterator[tuple[int | None, DType, bytes, str, bool]]:
    """Whose step it is, type, content, description, and whether only kernels that know flash read it."""
    tensors = program.graph.tensors
    for number, step in enumerate(program.steps):
        where = _label(program.graph, step)
        for constant in step.call.constants:
            yield number, constant.dtype, constant.data, f"{constant.name} of {where}", True
        for access in step.reads:
            if access.arena == FLASH:
                yield number, access.view.tensor.dtype, _bytes(access.view.tensor), f"operand of {where}", False
    for tensor in (tensors[i] for i in program.graph.outputs):
        if tensor.kind is Kind.CONSTANT:
            yield None, tensor.dtype, _bytes(tensor), "an output that no input changes", False
    for index, first in program.variables:
        if len(set(first)) > 1:
            yield None, DType.UINT8, first, f"first value of {_comment(tensors[index].name)}", False


def literal(dtype: DType, data: bytes) -> str:
    """An array's elements as C writes them, in lines."""
    words = _words(dtype, data)
    per_line = max(1, 110 // (1 + max(map(len, words), default=1)))
    lines = (",".join(words[start : start + per_line]) for start in range(0, len(words), per_line))
    return ",\n  ".join(lines) + ","


def _words(dtype: DType, data: bytes) -> list[str]:
    stored = {DType.INT4: "uint8", DType.BOOL: "uint8", DType.FLOAT16: "uint16"}.get(dtype, dtype.label)
    values = np.frombuffer(data, np.dtype(stored).newbyteorder("<")).tolist()
    if stored in ("int8", "uint8", "int16", "uint16"):
        return list(map(str, values))
    if dtype is DType.FLOAT64:
        return [_float(value, "") for value in values]
    return list(map(_number, values))


def _number(value: float) -> str:
    if isinstance(value, float):
        return _float(value)
    if value == -(2**31):
        return "INT32_MIN"
    if value == -(2**63):
        return "INT64_MIN"
    return f"{value}u" if value >= 2**31 else str(value)


def _float(value: float, suffix: str = "f") -> str:
    """A float as C writes it, to the last bit; not-a-number and infinity by their arithmetic."""
    if math.isnan(value):
        return f"(0.0{suffix} / 0.0{suffix})"
    if math.isinf(value):
        return f"({'-' if value < 0 else ''}1.0{suffix} / 0.0{suffix})"
    return f"{float(value).hex()}{suffix}"


def decimal(value: float) -> str:
    """A float32 in decimal, for headers: C++ before 2017 has no hexadecimal floats. Nine digits say it to the bit."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if set(".en") & set(text) else f"{text}.0f"


def _bytes(tensor: Tensor) -> bytes:
    return (tensor.data or b"")[: tensor.nbytes]


def _declared(constant: Constant) -> str:
    space = "THIMBLE_FLASH " if constant.flash else ""
    return f"const {space}{constant.ctype} {constant.symbol}[{constant.elements}]"


def _declaration(constant: Constant) -> str:
    """With its alignment, or x86-64 compilers take every array of 16 bytes and more to be aligned to 16."""
    return f"extern _Alignas({constant_alignment(constant)}) {_declared(constant)};"


def _definitions(program: Program, constants: Mapping[tuple[str, bytes, bool], Constant]) -> Iterator[str]:
    for constant in constants.values():
        yield f"/* {constant.what} */"
        text = literal(constant.dtype, constant.data)
        place = "" if constant.step is None else c_arenas.weights_place(program, constant.step, constant.symbol)
        yield f"{place}THIMBLE_WEIGHTS({constant_alignment(constant)}) {_declared(constant)} = {{\n  {text}\n}};\n"


def constant_alignment(constant: Constant) -> int:
    """Where a constant may start: at multiples of this many bytes, so that kernels may read words."""
    return max(4, constant.dtype.bits // 8)


def _functions(program: Program, constants: Mapping[tuple[str, bytes, bool], Constant]) -> Iterator[str]:
    for number, step in enumerate(program.steps):
        call = step.call
        if step.is_view or call.hands_over:
            continue
        yield f"/* {_label(program.graph, step)} */"
        if call.struct:
            yield f"static const THIMBLE_FLASH thimble_{call.struct}_params p{number} = {_initializer(call.fields)};"
        row = ("int32_t row",) if step.by_row is not ByRow.NO else ()
        parameters = c_arenas.parameters(program, [step], *row)
        yield f"static {c_arenas.code_place(program, number)}THIMBLE_NOINLINE void step_{number}({parameters}) {{"
        loop = f"for (int32_t batch = 0; batch < {call.batch}; batch++) " if call.batch > 1 else ""
        yield f"  {loop}thimble_{call.kernel}({', '.join(_arguments(program, step, number, constants))});"
        yield "}\n" if _touches_arena(step) or len(program.arenas) > 1 else "  (void)arena;\n}\n"


def _touches_arena(step: Step) -> bool:
    return step.scratch is not None or any(a.arena != FLASH for a in (*step.reads, *step.writes))


def _arguments(
    program: Program, step: Step, number: int, constants: Mapping[tuple[str, bytes, bool], Constant]
) -> Iterator[str]:
    call = step.call
    if call.struct:
        yield f"&p{number}"
    moved = _moved(program, step)
    for index, access in enumerate(step.reads):
        yield _pointer(program, access, constants, "const ", moved(access, index))
    for data in call.constants:
        yield _symbol(data, constants)
    for index, access in enumerate(step.writes):
        yield _pointer(program, access, constants, "", moved(access, len(step.reads) + index))
    if step.scratch is not None:
        yield f"(void *)({c_arenas.pointer(program, step.scratch[0])} + {step.scratch[1]})"
    if step.by_row is ByRow.KERNEL:
        yield "row, row + 1"
    elif call.rows:
        yield f"0, {call.rows}"


def _moved(program: Program, step: Step) -> Callable[[Access, int], str]:
    """What is added to an operand's address: its part of the batch, or its row of those that are kept."""
    rings, tensors = dict(program.rings), program.graph.tensors
    results = program.graph.results(program.graph.ops[step.op])
    rows = results[0].shape[1:2] if results else ()  # an assignment to a variable has none

    def moved(access: Access, index: int) -> str:
        if step.by_row is ByRow.POINTERS:
            tensor = tensors[access.view.tensor.id]
            if access.arena == FLASH or tensor.shape[1:2] != rows:
                return ""
            kept = rings.get(tensor.id, rows[0])
            return f" + {'row' if kept == rows[0] else f'row % {kept}'} * {tensor.nbytes // rows[0]}"
        if step.call.moves:
            return f" + batch * {step.call.moves[index]}" if step.call.moves[index] else ""
        batch = step.call.batch if index in (0, len(step.reads)) else 1
        return f" + batch * {access.view.nbytes // batch}" if batch > 1 else ""

    return moved


def _symbol(data: Data, constants: Mapping[tuple[str, bytes, bool], Constant]) -> str:
    return constants[C_TYPES[data.dtype], data.data, True].symbol if data.data else "NULL"


def _pointer(
    program: Program,
    access: Access,
    constants: Mapping[tuple[str, bytes, bool], Constant],
    qualifier: str,
    moved: str = "",
) -> str:
    tensor = access.view.tensor
    if access.arena != FLASH:
        return f"({qualifier}void *)({c_arenas.pointer(program, access.arena)} + {access.start}{moved})"
    if not tensor.nbytes:
        return "NULL"
    symbol = constants[C_TYPES[tensor.dtype], _bytes(tensor), False].symbol
    if not access.view.offset and not moved:
        return symbol
    return f"(const void *)((const uint8_t *){symbol} + {access.view.offset}{moved})"


def _initializer(fields: Fields) -> str:
    return "{" + ", ".join(f".{name} = {_value(value)}" for name, value in fields) + "}"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        if value and isinstance(value[0], tuple):
            return _initializer(value)
        return "{" + ", ".join(_value(v) for v in value) + "}"
    assert isinstance(value, int | float)
    return _number(value)


def _prelude(program: Program) -> Iterator[str]:
    if program.position is not None:
        yield c_rows.prelude(program)


def _entry(program: Program) -> str:
    """The functions that run an inference."""
    if program.position is not None:
        return c_rows.functions(program, _parts(program))
    calls = [line for lines, _ in _parts(program) for line in lines]
    if all(step.is_view for step in program.steps):
        calls.append(f"  (void){c_arenas.argument(program)};")
    return "\n".join([f"void {program.name}_invoke({c_arenas.parameter(program)}) {{", *calls, "}"])


def _parts(program: Program) -> Iterator[tuple[tuple[str, ...], str]]:
    """Statements up to where an inference may wait for the application, and the call that does; "" for the last."""
    streams = {stream.first: (number, stream) for number, stream in enumerate(program.streams)}
    lines: list[str] = []
    at = 0
    while at < len(program.steps):
        lines.append(f"  {program.name.upper()}_HOOK({at});")
        if at in streams:
            number, stream = streams[at]
            steps = program.steps[stream.first : stream.end]
            at = stream.end
            if c_rows.stops(program, stream):
                if lines[:-1]:
                    yield tuple(lines[:-1]), ""
                yield (lines[-1],), f"stream_{number}({c_arenas.arguments(program, steps, 'at', outside=True)})"
                lines = []
            else:
                lines.append(f"  stream_{number}({c_arenas.arguments(program, steps, outside=True)});")
        else:
            if not program.steps[at].is_view:
                lines.append(f"  step_{at}({c_arenas.arguments(program, [program.steps[at]], outside=True)});")
            at += 1
    if lines:
        yield tuple(lines), ""


def _streams(program: Program) -> Iterator[str]:
    """Per stream the order of its operators, and the loop that lets each compute its next row."""
    for number, stream in enumerate(program.streams):
        if stream.rows or c_rows.stops(program, stream):
            yield from _repeating_stream(program, number, stream)
            continue
        order = literal(DType.UINT8 if len(stream.members) < 256 else DType.UINT16, _order_bytes(stream))
        ctype = "uint8_t" if len(stream.members) < 256 else "uint16_t"
        yield f"/* Whose row comes next, of the operators of steps {stream.first} to {stream.end - 1}. */"
        yield f"static const THIMBLE_FLASH {ctype} order_{number}[{len(stream.order)}] = {{\n  {order}\n}};"
        yield f"static THIMBLE_NOINLINE void stream_{number}({_stream_parameters(program, stream)}) {{"
        yield f"  int32_t rows[{len(stream.members)}] = {{0}};"
        yield f"  for (int32_t i = 0; i < {len(stream.order)}; i++) {{"
        yield f"    const int32_t member = order_{number}[i], row = rows[member]++;"
        yield "    switch (member) {"
        at = stream.first
        for member, count in enumerate(stream.members):
            height = program.graph.results(program.graph.ops[program.steps[at].op])[0].shape[1]
            row = f"{height - 1} - row" if stream.descending else "row"
            calls = _row_calls(program, at, count, row)
            last = member + 1 == len(stream.members)
            yield f"      {'default' if last else f'case {member}'}: {calls} break;"
            at += count
        yield "    }\n  }\n}\n"


def _repeating_stream(program: Program, number: int, stream: Stream) -> Iterator[str]:
    """A stream that waits, or with rows that are computed more than once: its table says which row comes next, too."""
    turns = np.array(stream.turns)
    most = max(int(turns.max()), len(stream.members))
    dtype, ctype = (DType.UINT8, "uint8_t") if most < 256 else (DType.UINT16, "uint16_t")
    table = literal(dtype, turns.astype("<u1" if most < 256 else "<u2").tobytes())
    yield f"/* Whose row comes next, of the operators of steps {stream.first} to {stream.end - 1}, and which. */"
    yield f"static const THIMBLE_FLASH {ctype} order_{number}[{turns.size}] = {{\n  {table}\n}};"
    waits = c_rows.stops(program, stream)
    kind, more = ("int", (c_rows.parameter(program),)) if waits else ("void", ())
    yield f"static THIMBLE_NOINLINE {kind} stream_{number}({_stream_parameters(program, stream, *more)}) {{"
    if waits:
        yield f"  while (at->turn < {turns.size}) {{"
        yield f"    const int32_t member = order_{number}[at->turn], row = order_{number}[at->turn + 1];"
        yield "    at->turn += 2;"
    else:
        yield f"  for (int32_t i = 0; i < {turns.size}; i += 2) {{"
        yield f"    const int32_t member = order_{number}[i], row = order_{number}[i + 1];"
    yield "    switch (member) {"
    for member, (at, count) in enumerate(zip(stream.starts, stream.members, strict=True)):
        step = program.steps[at]
        turn = c_rows.stop(program, step) if step.call.hands_over else f"{_row_calls(program, at, count, 'row')} break;"
        last = member + 1 == len(stream.members)
        yield f"      {'default' if last else f'case {member}'}: {turn}"
    yield "    }\n  }"
    yield from _ending(program, stream) if waits else ()
    yield "}\n"


def _ending(program: Program, stream: Stream) -> Iterator[str]:
    """The end of a stream that waits. One that does nothing else has no use for the arena."""
    steps = program.steps[stream.first : stream.end]
    if all(step.call.hands_over for step in steps):
        yield from (f"  (void){c_arenas.pointer(program, arena)};" for arena in c_arenas.touched(program, steps))
    yield f"  return {c_rows.event_name(program.name, c_rows.Event.COMPLETE)};"


def _stream_parameters(program: Program, stream: Stream, *more: str) -> str:
    return c_arenas.parameters(program, program.steps[stream.first : stream.end], *more)


def _row_calls(program: Program, first: int, count: int, row: str) -> str:
    steps = range(first, first + count)
    return " ".join(f"step_{n}({c_arenas.arguments(program, [program.steps[n]], row)});" for n in steps)


def _order_bytes(stream: Stream) -> bytes:
    return np.array(stream.order, "<u1" if len(stream.members) < 256 else "<u2").tobytes()


def _init(program: Program) -> Iterator[str]:
    constants = constants_of(program)
    places = dict(program.places)
    if program.position is not None:
        yield c_rows.idle(program)
    for tensor, data in program.variables:
        arena, offset = places[tensor]
        base = c_arenas.member(program, arena)
        if len(set(data)) > 1:
            yield f"  memcpy({base} + {offset}, {constants['uint8_t', data, False].symbol}, {len(data)});"
        else:
            yield f"  memset({base} + {offset}, {data[0]}, {len(data)});"


def _common(program: Program) -> dict[str, str]:
    return {
        "name": program.name,
        "NAME": program.name.upper(),
        "arena_bytes": str(max(1, program.arena_bytes)),
        "alignment": str(max(arena.alignment for arena in program.arenas)),
        "parameter": c_arenas.parameter(program),
        "steps": str(len(program.steps)),
        "step_names": "\n".join(f" *   {i}: {_label(program.graph, step)}" for i, step in enumerate(program.steps)),
    }


def _api(program: Program) -> dict[str, str]:
    graph = program.graph
    inputs = [graph.tensors[i] for i in graph.inputs]
    outputs = [graph.tensors[i] for i in graph.outputs]
    return {
        "arena": c_arenas.struct(program),
        "placed": c_arenas.interface(program),
        "usage": c_rows.usage(program) if program.position is not None else _usage(program),
        "entry": c_rows.interface(program)
        if program.position is not None
        else f"void {program.name}_invoke({c_arenas.parameter(program)});",
        "inputs": "\n".join(_port(program, "input", i, t) for i, t in enumerate(inputs)),
        "outputs": "\n".join(_port(program, "output", i, t) for i, t in enumerate(outputs)),
    }


def _usage(program: Program) -> str:
    """How to run an inference, for the header's comment."""
    name = program.name
    lines = (
        (f"{name}_init(arena);", "once; also forgets what the network keeps between inferences"),
        (f"memcpy({name}_input_0(arena), ...);", "fill all inputs before every inference: it may overwrite them"),
        (f"{name}_invoke(arena);", ""),
        (f"result = {name}_output_0(arena);", f"valid until the next call of {name}_invoke"),
    )
    width = max(len(code) for code, _ in lines) + 2
    return "\n".join(f" *   {code:{width}}{what}".rstrip() for code, what in lines)


def _port(program: Program, kind: str, index: int, tensor: Tensor) -> str:
    """Declarations for one input or output: where it is, its shape and its quantization."""
    prefix = f"{program.name.upper()}_{kind.upper()}_{index}"
    ctype = C_TYPES[tensor.dtype]
    shape = " x ".join(map(str, tensor.shape)) or "scalar"
    lines = [
        f"/* {kind.capitalize()} {index}: {_comment(tensor.name)}, {tensor.dtype.label} [{shape}]{_real(tensor)} */",
        f"#define {prefix}_ELEMENTS {tensor.elements}",
        f"#define {prefix}_BYTES {tensor.nbytes}",
        f"#define {prefix}_SHAPE {{{', '.join(map(str, tensor.shape)) or 1}}}",
    ]
    if tensor.quant is not None:
        lines += [
            f"#define {prefix}_SCALE {decimal(tensor.quant.scale[0])}",
            f"#define {prefix}_ZERO_POINT {tensor.quant.zero_point[0]}",
        ]
    if tensor.kind is Kind.OUTSIDE:
        return "\n".join([*lines, *c_rows.port(program, tensor)]) + "\n"
    const = "const " if kind == "output" else ""
    parameter = c_arenas.parameter(program, const=bool(const))
    function = f"static inline {const}{ctype} *{program.name}_{kind}_{index}({parameter})"
    if tensor.kind is Kind.CONSTANT:
        symbol = constants_of(program)[ctype, _bytes(tensor), False].symbol
        lines += [
            f"extern const {ctype} {symbol}[];",
            f"{function} {{ (void){c_arenas.argument(program)}; return {symbol}; }}",
        ]
        return "\n".join(lines) + "\n"
    arena, offset = program.place(tensor) if tensor.nbytes else (0, 0)
    start = c_arenas.member(program, arena)
    lines.append(f"{function} {{ return ({const}{ctype} *)({const}void *)({start} + {offset}); }}")
    return "\n".join(lines) + "\n"


def _real(tensor: Tensor) -> str:
    if tensor.quant is None:
        return ""
    return f", real = {tensor.quant.scale[0]:.9g} * (q - {tensor.quant.zero_point[0]})".replace("- -", "+ ")


def _label(graph: Graph, step: Step) -> str:
    op = graph.ops[step.op]
    return _comment(f"{op.kind} {short_name(op.name)} ({step.call.kernel})")


def _comment(text: str) -> str:
    """Text from a model file that cannot end the comment, continue the line, or be a trigraph."""
    printable = "".join(c if 32 <= ord(c) < 127 and c != "\\" else "_" for c in text[:120])
    return printable.replace("*/", "*_").replace("/*", "_*").replace("??", "__")


def _template(name: str) -> Template:
    return Template((resources.files("thimble") / "templates" / name).read_text(encoding="utf-8"))


__all__ = [
    "C_TYPES",
    "Constant",
    "constant_alignment",
    "constants_of",
    "decimal",
    "emit",
    "identifier",
    "kernel_sources",
    "literal",
]
