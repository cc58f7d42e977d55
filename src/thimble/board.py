# SPDX-License-Identifier: Apache-2.0
"""Board files: strict TOML, one per board, every number with its source.

A number is written `{ value = 655360, source = "DS12023 rev 5, p. 1" }`; one that no document gives is
written `{ value = 12.0, estimate = "how it was estimated" }` and is shown as an estimate wherever it is used.
"""

from __future__ import annotations

import itertools
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from thimble.errors import BoardError

RegionKind = Literal[
    "sram", "tcm", "itcm", "dtcm", "flash", "mram", "eeprom", "rom", "psram", "sdram", "ddr", "weights"
]


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number with where it comes from: exactly one of `source` and `estimate`."""

    value: float
    source: str = ""
    estimate: str = ""

    def __post_init__(self) -> None:
        if bool(self.source) == bool(self.estimate):
            raise ValueError("a number needs either a source or an estimate (how it was estimated), not both or none")
        if not 0 <= self.value < 2**53:
            raise ValueError("a number of a board is finite and not negative")


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One memory of a board.

    `read_cycles`/`write_cycles`: core cycles per access at the board's clock, wait states included.
    `line_bytes`: bytes that one such access brings in where a cache or a prefetch buffer keeps them; `cache_bytes`: of
    that cache. Without them an access brings in `width_bits`, or a line of the core's cache (`dcache16k` among its
    features); of an external memory one word, as timings there are given per word of a line.
    `*_energy`: picojoules per byte. `leakage`: microwatts while powered, for the whole region. `retention`: microwatts
    while asleep with its bytes kept; `leakage` without it.
    `bank_size`: bytes that can be switched off on their own. `external`: outside the chip's package.
    `space`: address space, for Harvard machines whose program and data addresses overlap.
    """

    name: str
    kind: RegionKind
    origin: Figure
    size: Figure
    volatile: bool
    executable: bool = True
    external: bool = False
    space: str = ""
    width_bits: Figure | None = None
    read_cycles: Figure | None = None
    write_cycles: Figure | None = None
    read_energy: Figure | None = None
    write_energy: Figure | None = None
    cache_bytes: Figure | None = None
    line_bytes: Figure | None = None
    leakage: Figure | None = None
    retention: Figure | None = None
    bank_size: Figure | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for figure in (self.origin, self.size):
            if figure.value != int(figure.value):
                raise ValueError(f"region '{self.name}': origin and size are whole numbers of bytes")
        if not self.size.value:
            raise ValueError(f"region '{self.name}' has no bytes")

    @property
    def bytes(self) -> int:
        return int(self.size.value)

    @property
    def address(self) -> int:
        return int(self.origin.value)

    @property
    def writable(self) -> bool:
        """Whether activations may live here: volatile memory only."""
        return self.volatile


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The processor that runs the network."""

    name: str
    architecture: str
    clock_hz: Figure
    features: tuple[str, ...] = ()
    count: int = 1
    active_power: Figure | None = None  # microwatts per MHz
    sleep_power: Figure | None = None  # microwatts between inferences, memories' retention not included


class Accelerator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A neural accelerator beside the core: its own weight memory and throughput."""

    name: str
    weight_bytes: Figure | None = None
    macs_per_cycle: Figure | None = None
    clock_hz: Figure | None = None
    note: str = ""


class Board(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device: core, memories, and the target whose kernels it runs (`target.TARGETS`)."""

    name: str
    title: str
    mcu: str
    target: str
    core: Core
    regions: tuple[Region, ...]
    documents: dict[str, str]
    accelerator: Accelerator | None = None
    emulator: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        names = [r.name for r in self.regions]
        if len(set(names)) != len(names):
            raise ValueError("two regions have the same name")
        if not any(r.writable for r in self.regions):
            raise ValueError("no region can hold activations (volatile = true)")
        spans = sorted((r.space, r.address, r.address + r.bytes, r.name) for r in self.regions)
        for (space, _, stop, low), (other, start, _, high) in itertools.pairwise(spans):
            if space == other and start < stop:
                raise ValueError(f"regions '{low}' and '{high}' overlap")

    @property
    def ram(self) -> tuple[Region, ...]:
        return tuple(r for r in self.regions if r.writable and not r.external)

    @property
    def storage(self) -> tuple[Region, ...]:
        """Where the model and the program are kept: the chip's flash, or outside it where the chip has none."""
        lasting = tuple(r for r in self.regions if not r.writable)
        return tuple(r for r in lasting if not r.external) or lasting

    def ram_span(self) -> int:
        """Bytes of the largest contiguous on-chip RAM: what one arena can be."""
        best = run = end = 0
        for region in sorted(self.ram, key=lambda r: r.address):
            run = run + region.bytes if region.address == end else region.bytes
            end = region.address + region.bytes
            best = max(best, run)
        return best

    def flash_bytes(self) -> int:
        """Bytes of `storage`; 0 on a device that keeps model and activations in one memory."""
        return sum(r.bytes for r in self.storage)


def read_board(text: str, origin: str) -> Board:
    """Parse one board file.

    Raises:
        BoardError: not TOML, a key that is unknown or missing, or a value that makes no sense.
    """
    try:
        return msgspec.toml.decode(text, type=Board)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        example = "`thimble boards show nucleo-l4r5zi --toml` prints a complete example"
        raise BoardError(f"{origin}: {error}. {example}.") from None


def board_names() -> tuple[str, ...]:
    """Names of the boards that ship with Thimble, sorted."""
    folder = resources.files("thimble") / "boards"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def board_text(name: str) -> str:
    """The TOML text of a board, by name or by path.

    Raises:
        BoardError: no such board or file.
    """
    if name in board_names():
        return (resources.files("thimble") / "boards" / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BoardError(f"{name}: cannot be read: {error}") from None
    known = ", ".join(board_names())
    raise BoardError(f"no board named '{name}'; known: {known}; your own board is a .toml file given by path")


def load_board(name: str) -> Board:
    """The board of that name (`board_names()`) or in that `.toml` file."""
    return read_board(board_text(name), name)
