# SPDX-License-Identifier: Apache-2.0
"""Linked firmware and compiled objects: symbols, sections, exact sizes of a bundle's own parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from thimble.errors import OptionError


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a bundle in linked firmware, with alignment between its parts, without start-up code and stack.

    `library` is what C library and compiler add because the bundle calls them: (text, rodata, data, bss). `data` is
    counted in flash and in RAM; what an AVR keeps in RAM of the constants is `data` too.
    """

    text: int
    rodata: int
    data: int
    bss: int
    arena: int
    library: tuple[int, int, int, int]

    @property
    def flash_bytes(self) -> int:
        """Code, constants and first values."""
        return self.text + self.rodata + self.data + sum(self.library[:3])

    @property
    def static_bytes(self) -> int:
        """RAM besides arena and stack."""
        return self.data + self.bss + sum(self.library[2:])


@dataclass(frozen=True, slots=True)
class Image:
    """A linked ELF: symbols by name, and sections that take memory as (address, size)."""

    symbols: Mapping[str, int]
    sections: Mapping[str, tuple[int, int]]
    functions: tuple[tuple[int, str], ...]  # by address

    def size(self, *sections: str) -> int:
        """Bytes of the sections that are there."""
        return sum(self.sections[name][1] for name in sections if name in self.sections)

    def where(self, address: int) -> str:
        """The function that an address is in, for messages."""
        before = [name for start, name in self.functions if start <= address]
        return before[-1] if before else "?"


def read_image(path: Path) -> Image:
    """Symbols and sections of a linked ELF.

    Raises:
        OptionError: the file is not an ELF.
    """
    symbols: dict[str, int] = {}
    functions: list[tuple[int, str]] = []
    with path.open("rb") as file:
        try:
            elf = ELFFile(file)
            thumb = 1 if elf["e_machine"] == "EM_ARM" else 0
            sections = {
                s.name: (s["sh_addr"], s["sh_size"]) for s in elf.iter_sections() if s["sh_flags"] & 2 and s["sh_size"]
            }
            table = elf.get_section_by_name(".symtab")
            for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
                symbols[symbol.name] = symbol["st_value"]
                if symbol["st_info"]["type"] == "STT_FUNC":
                    functions.append((symbol["st_value"] & ~thumb, symbol.name))
        except ELFError as error:
            raise OptionError(f"{path.name} is no ELF file: {error}") from error
    return Image(symbols, sections, tuple(sorted(functions)))


def _sum(image: Image, *ends: str) -> int:
    """Bytes of a bundle's sections whose names end so."""
    return image.size(*(name for name in image.sections if name.startswith(".model_") and name.endswith(ends)))


def footprint(image: Image) -> Footprint:
    """Sizes of a bundle in firmware that was linked with one of the scripts of `emulator/`."""
    symbols = image.symbols
    in_data = symbols.get("thimble_model_data_high", 0) - symbols.get("thimble_model_data_low", 0)
    library_data = symbols.get("thimble_library_data_high", 0) - symbols.get("thimble_library_data_low", 0)
    return Footprint(
        text=_sum(image, "_text"),
        rodata=_sum(image, "_rodata", "_weights"),
        data=image.size(".model_data") + in_data,
        bss=image.size(".model_bss"),
        arena=_sum(image, "_arena"),
        library=(
            image.size(".library_text", ".unwinding"),
            image.size(".library_rodata"),
            image.size(".library_data", ".tdata") + library_data,
            image.size(".library_bss", ".tbss"),
        ),
    )
