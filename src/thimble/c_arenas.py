# SPDX-License-Identifier: Apache-2.0
"""Arenas and memories of a program in C: pointers, sections, start-up copies. One arena is a pointer, several a struct.

A caller with several arenas hands over `const NAME_arenas *`; every step gets one pointer per arena that it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from thimble.layout import Section, Span
from thimble.program import FLASH, Program, Step

_PLACE = """
#if defined(THIMBLE_PLACED) && defined(__GNUC__)
#define THIMBLE_PLACE(name) __attribute__((section(name)))
#else
#define THIMBLE_PLACE(name)
#endif
"""


def pointer(program: Program, arena: int) -> str:
    """An arena's first byte within the function of a step."""
    return "arena" if len(program.arenas) == 1 else f"arena_{program.arenas[arena].name}"


def member(program: Program, arena: int) -> str:
    """An arena's first byte within a function of the interface."""
    return "arena" if len(program.arenas) == 1 else f"arenas->{program.arenas[arena].name}"


def argument(program: Program) -> str:
    """What the functions of the interface call their argument."""
    return "arena" if len(program.arenas) == 1 else "arenas"


def parameter(program: Program, *, const: bool = False) -> str:
    """The parameter of the functions of the interface."""
    if len(program.arenas) > 1:
        return f"const {program.name}_arenas *arenas"
    return "const uint8_t *arena" if const else "uint8_t *arena"


def touched(program: Program, steps: Iterable[Step]) -> tuple[int, ...]:
    """The arenas that steps get: all that they touch, the only one anyway."""
    if len(program.arenas) == 1:
        return (0,)
    return tuple(sorted({arena for step in steps for arena in _arenas(step)}))


def _arenas(step: Step) -> Iterator[int]:
    yield from (access.arena for access in (*step.reads, *step.writes) if access.arena != FLASH)
    if step.scratch is not None:
        yield step.scratch[0]


def parameters(program: Program, steps: Iterable[Step], *more: str) -> str:
    """The parameters of a function that runs steps."""
    own = [f"uint8_t *{pointer(program, arena)}" for arena in touched(program, steps)]
    return ", ".join([*own, *more]) or "void"


def arguments(program: Program, steps: Iterable[Step], *more: str, outside: bool = False) -> str:
    """The arguments of such a function, called in one like it or, `outside`, in one of the interface."""
    name = member if outside else pointer
    return ", ".join([*(name(program, arena) for arena in touched(program, steps)), *more])


def weights_place(program: Program, step: int, symbol: str) -> str:
    """In front of a constant of a step: its section."""
    return _place(program.layout.weights[step], symbol) if program.layout is not None else ""


def code_place(program: Program, step: int) -> str:
    """In front of the function of a step: its section."""
    return _place(program.layout.code[step], f"step_{step}") if program.layout is not None else ""


def _place(section: str, name: str) -> str:
    # A section each, so that linkers can drop what is not used.
    return f'THIMBLE_PLACE("{section}.{name}") ' if section else ""


def place_macro(program: Program) -> str:
    """What defines THIMBLE_PLACE."""
    return _PLACE if program.layout is not None else ""


def struct(program: Program) -> str:
    """The type of several arenas, and where there are any."""
    if len(program.arenas) == 1:
        return f"extern uint8_t {program.name}_arena[];"
    upper = program.name.upper()
    lines = [f"#define {upper}_{a.name.upper()}_ARENA_BYTES {max(1, a.size)}" for a in program.arenas]
    lines += [
        "",
        "/* This network has several arenas: `arena` above is a pointer to this struct of pointers,",
    ]
    lines += [f" * each to a block of that memory's ARENA_BYTES; {upper}_ARENA_BYTES is their sum. */"]
    lines += ["typedef struct {"]
    lines += [f"  uint8_t *{a.name};" for a in program.arenas]
    return "\n".join(
        [*lines, f"}} {program.name}_arenas;", "", f"extern const {program.name}_arenas {program.name}_arena[1];"]
    )


def definitions(program: Program) -> str:
    """The arenas of those who supply none."""
    lines = []
    for arena in program.arenas:
        alone = len(program.arenas) == 1
        name = f"{program.name}_arena" if alone else f"arena_{arena.name}"
        place = f'THIMBLE_PLACE("{arena.section}") ' if arena.section else ""
        lines.append(
            f"{place}_Alignas({arena.alignment}) {'' if alone else 'static '}uint8_t {name}[{max(1, arena.size)}];"
        )
    if len(program.arenas) > 1:
        inside = ", ".join(f"arena_{arena.name}" for arena in program.arenas)
        lines += ["", f"const {program.name}_arenas {program.name}_arena[1] = {{{{{inside}}}}};"]
    return "\n".join(lines)


def clearing(program: Program) -> Iterator[str]:
    """Statements that fill all arenas with a pattern."""
    name, upper = program.name, program.name.upper()
    if program.layout is not None:
        yield f"  {name}_startup();"
    if len(program.arenas) == 1:
        yield f"  memset({name}_arena, 0xA5, {upper}_ARENA_BYTES); /* nothing may depend on what the arena held */"
        return
    for arena in program.arenas:
        yield f"  memset({name}_arena->{arena.name}, 0xA5, {upper}_{arena.name.upper()}_ARENA_BYTES);"


def interface(program: Program) -> str:
    """Declarations of a placed program: start-up, and the banks that must be on."""
    layout = program.layout
    if layout is None:
        return ""
    name, upper = program.name, program.name.upper()
    lines = [
        f"/* Once after reset, before {name}_init: copies {layout.copied_bytes} bytes of weights and code from where",
        f" * they are kept to where they are used. Compile {name}*.c with THIMBLE_PLACED defined, and include",
        f" * {name}.ld in your linker script; without THIMBLE_PLACED all is where your linker puts it. */",
        f"void {name}_startup(void);",
        "",
    ]
    if layout.banks:
        lines += [f"/* Banks of memory that must be on from {name}_startup on as long as the network is used:", " *"]
        lines += [f" *   {b.region:12} {b.address:#010x}  {b.bytes:>9,} bytes  {_state(b.on)}" for b in layout.banks]
        rows = ", ".join(f"{{{b.address:#x}u, {b.bytes}u}}" for b in layout.banks if b.on)
        lines += [" *", " * The same as {address, bytes}, for an array of pairs of uint32_t. */"]
        lines += [f"#define {upper}_BANKS_ON {{{rows}}}", ""]
    return "\n".join(lines)


def _state(on: bool) -> str:
    return "on" if on else "may be off, if nothing else needs it"


def startup(program: Program) -> str:
    """The function that copies weights and code to where they are used."""
    if program.layout is None:
        return ""
    copies = program.layout.copies
    code = any(section.kind == "code" for section in copies)
    declared = [f"extern uint8_t {s.symbol}_start[], {s.symbol}_end[], {s.symbol}_load[];" for s in copies]
    moved = [
        f"  memcpy({s.symbol}_start, {s.symbol}_load, (size_t)({s.symbol}_end - {s.symbol}_start));" for s in copies
    ]
    if code:
        moved += [
            "#if defined(__arm__)",
            '  __asm__ volatile("dsb\\n isb" ::: "memory"); /* what was written is to be executed */',
            "#endif",
        ]
    lines = ["#if defined(THIMBLE_PLACED)", *declared, "#endif", ""] if copies else []
    lines += [f"void {program.name}_startup(void) {{"]
    lines += (
        ["#if defined(THIMBLE_PLACED)", *moved, "#endif"]
        if copies
        else ["  /* everything is used from where it is kept */"]
    )
    return "\n".join([*lines, "}", "", ""])


def linker_fragment(program: Program) -> str:
    """The sections of a placed program for a linker script: memories by the names that `alias` gives them."""
    return "\n".join(map(_output, [program] * len(_sections(program)), _sections(program)))


def _sections(program: Program) -> tuple[Section, ...]:
    return program.layout.sections if program.layout is not None else ()


def _output(program: Program, section: Section) -> str:
    symbol, memory = section.symbol, alias(program.name, section.memory)
    if section.kind == "arena":
        return f"{section.name} (NOLOAD) : ALIGN(8)\n{{\n  *({section.name})\n}} > {memory}\n"
    inside = f"  {symbol}_start = .;\n  *({section.name}.*)\n  . = ALIGN(8);\n  {symbol}_end = .;\n"
    if not section.home:
        return f"{section.name} : ALIGN(8)\n{{\n{inside}}} > {memory}\n"
    home = alias(program.name, section.home)
    load = f"{symbol}_load = LOADADDR({section.name});\n"
    return f"{section.name} : ALIGN(8)\n{{\n{inside}}} > {memory} AT> {home}\n{load}"


def alias(name: str, memory: str) -> str:
    """What a linker script calls a memory: an alias that the user defines."""
    return f"{name}_{memory}".upper()


def memory_line(program: Program, span: Span) -> str:
    """A memory with its alias, for the fragment's comment."""
    end = span.origin + span.size - 1
    return f' *   REGION_ALIAS("{alias(program.name, span.name)}", ...)   {span.origin:#010x} to {end:#010x}'
