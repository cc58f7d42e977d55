# SPDX-License-Identifier: Apache-2.0
"""An upper bound of the stack that a bundle needs, from what the compiler says of every function.

A function needs its own frame (GCC's `-fstack-usage`) and the most that any function needs which it calls. Calls are
the relocations in its code, so this works for every compiler that tells the frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Symbol, SymbolTableSection

from thimble.emulation.machines import Isa
from thimble.errors import InternalError

HELPER_BYTES: dict[Isa, int] = {"arm": 112, "riscv": 112, "avr": 32}
"""What a function takes that moves bytes or computes one operation (memcpy, a division of 64 bits, soft float)."""
FLOAT_BYTES: dict[Isa, int] = {"arm": 192, "riscv": 192, "avr": 48}
"""What a mathematical function of a C library takes in single precision."""
DOUBLE_BYTES: dict[Isa, int] = {"arm": 256, "riscv": 256, "avr": 48}
"""The same in double precision. The AVR's double is single."""
TRIGONOMETRIC: dict[str, int] = {"sinf": 640, "cosf": 640, "tanf": 640, "sin": 960, "cos": 960, "tan": 960}
"""Where angles are large, these multiply by 2 / pi with hundreds of bits; not on AVR.

Measured, at most: helpers 96, single precision 140, double 208, trigonometric 572 and 876, AVR 16 and 28 (newlib-nano
3.3 on Cortex-M0, M4; picolibc 1.8 on rv32imac; avr-libc 2.0). Other C libraries need not keep to it.
"""
_HELPERS = ("mem", "__", "fmin", "fmax", "fabs", "floor", "ceil", "round", "lround", "trunc", "sqrt")


@dataclass(frozen=True, slots=True)
class Function:
    """A function's frame in bytes, and what it calls, by the names of `call_graph`."""

    frame: int
    calls: tuple[str, ...]


def stack_bound(functions: Mapping[str, Function], roots: Iterable[str], isa: Isa) -> int:
    """The most stack that calling one of the roots takes.

    Raises:
        InternalError: functions call each other in a circle.
    """
    known: dict[str, int] = {}

    def need(name: str, path: tuple[str, ...]) -> int:
        if name in path:
            raise InternalError(f"generated code is recursive: {' -> '.join((*path, name))}")
        if name not in known:
            function = functions.get(name) or Function(_allowance(name, isa), ())
            known[name] = function.frame + max((need(called, (*path, name)) for called in function.calls), default=0)
        return known[name]

    return max((need(root, ()) for root in roots), default=0)


def _allowance(name: str, isa: Isa) -> int:
    """What a function of the C library takes."""
    if name.startswith(_HELPERS):
        return HELPER_BYTES[isa]
    if name in TRIGONOMETRIC and isa != "avr":
        return TRIGONOMETRIC[name]
    return (FLOAT_BYTES if name.endswith("f") else DOUBLE_BYTES)[isa]


def call_graph(objects: Iterable[Path]) -> dict[str, Function] | None:
    """The functions of objects compiled with `-ffunction-sections -fstack-usage`, or None if there are no frames.

    Global functions are named as in C, others `file:section`. A call of itself would not be seen.
    """
    found: dict[str, Function] = {}
    arrays: set[str] = set()
    for path in objects:
        usage = path.with_suffix(".su")
        if not usage.is_file():
            return None
        frames = _frames(usage.read_text(encoding="utf-8"))
        with path.open("rb") as file:
            elf = ELFFile(file)
            found.update(_functions(elf, path.name, frames))
            arrays.update(s.name for s in _symbols(elf) if s["st_info"]["type"] == "STT_OBJECT")
    return {
        name: Function(f.frame, tuple(called for called in f.calls if called not in arrays))
        for name, f in found.items()
    }


def _frames(text: str) -> dict[str, int]:
    """Frame by function; lines are `file:line:column:function TAB bytes TAB static`.

    Raises:
        InternalError: a frame has no fixed size.
    """
    frames: dict[str, int] = {}
    for line in text.splitlines():
        place, size, kind = line.rsplit("\t", 2)
        name = place.rsplit(":", 1)[1]
        if kind == "dynamic":
            raise InternalError(f"the stack of {name} has no bound")
        frames[name] = max(int(size), frames.get(name, 0))
    return frames


def _functions(elf: ELFFile, file: str, frames: Mapping[str, int]) -> Iterator[tuple[str, Function]]:
    symbols = _symbols(elf)
    names = {s["st_shndx"]: _name(s, file) for s in symbols if s["st_info"]["type"] == "STT_FUNC"}
    calls: dict[int, dict[str, None]] = {}
    for section in elf.iter_sections():
        if isinstance(section, RelocationSection) and section["sh_info"] in names:
            owner = section["sh_info"]
            for relocation in section.iter_relocations():
                called = _called(symbols[relocation["r_info_sym"]], names)
                if called and called != names[owner]:
                    calls.setdefault(owner, {})[called] = None
    for symbol in symbols:
        index = symbol["st_shndx"]
        if symbol["st_info"]["type"] == "STT_FUNC" and index in names:
            yield names[index], Function(_frame(symbol.name, frames), tuple(calls.get(index, ())))


def _symbols(elf: ELFFile) -> list[Symbol]:
    table = elf.get_section_by_name(".symtab")
    return list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []


def _name(symbol: Symbol, file: str) -> str:
    return symbol.name if symbol["st_info"]["bind"] == "STB_GLOBAL" else f"{file}:{symbol.name}"


def _called(symbol: Symbol, names: Mapping[int, str]) -> str | None:
    """What a relocation in code refers to, if it is a function."""
    if symbol["st_shndx"] in names:
        return names[symbol["st_shndx"]]
    return symbol.name if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name else None


def _frame(function: str, frames: Mapping[str, int]) -> int:
    """The compiler names a clone `f.constprop.0` in the object and `f.constprop` or `f` where it tells frames."""
    name = function
    while name not in frames and "." in name:
        name = name.rsplit(".", 1)[0]
    if name not in frames:
        raise InternalError(f"the compiler does not tell the frame of {function}")
    return frames[name]
