# SPDX-License-Identifier: Apache-2.0
"""Which memory of a board holds what of a program: for the emitter, the linker and the manifest.

Addresses are the linker's: a layout says which memory, and sections carry that to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SectionKind = Literal["weights", "code", "arena"]


@dataclass(frozen=True, slots=True)
class Span:
    """A memory of a board, at addresses [origin, origin + size). `name` is an identifier in C and for linkers.

    `region` is what the board calls it; regions at adjacent addresses that are alike are one memory.
    """

    name: str
    region: str
    origin: int
    size: int


@dataclass(frozen=True, slots=True)
class Section:
    """What goes to one memory, by the name that linkers know it by.

    `home` is the memory that keeps its bytes without power, if that is another one: they are copied at start-up.
    """

    name: str
    kind: SectionKind
    memory: str
    home: str = ""

    @property
    def symbol(self) -> str:
        """Prefix of the symbols that the linker's script defines."""
        return self.name.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Bank:
    """A part of a region that can be switched by itself, and whether it must be on."""

    region: str
    address: int
    bytes: int
    on: bool


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """Something with the region that holds it; `home` is the memory that it is copied from at start-up, if any."""

    what: str
    kind: str
    region: str
    bytes: int
    home: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """A program's placement.

    Attributes:
        objective: what was to be least.
        latency_ms: predicted time of an inference.
        energy_uj: predicted energy of an inference.
        memories: those of the board that hold anything.
        sections: what the linker is to place, each in one of the memories.
        weights: per step the section of its constants, "" where it has none.
        code: per step the section of its code, "" where it has none.
        stack: the memory that the stack was counted in.
        banks: all that can be switched; none where the board has none.
        parts: for the reader.
    """

    objective: str
    latency_ms: float
    energy_uj: float
    memories: tuple[Span, ...]
    sections: tuple[Section, ...]
    weights: tuple[str, ...]
    code: tuple[str, ...]
    stack: str
    banks: tuple[Bank, ...] = ()
    parts: tuple[PlacedPart, ...] = ()

    def section(self, name: str) -> Section:
        """The section of that name."""
        return next(section for section in self.sections if section.name == name)

    @property
    def copies(self) -> tuple[Section, ...]:
        """What is copied at start-up."""
        return tuple(section for section in self.sections if section.home)

    @property
    def copied_bytes(self) -> int:
        """RAM that constants and code take, which have their homes elsewhere."""
        return sum(part.bytes for part in self.parts if part.home)
