# SPDX-License-Identifier: Apache-2.0
"""The shipped board files: they load, they cite, their sizes are right; and bad files say what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from thimble.board import Board, Figure, Region, board_names, board_text, load_board, read_board
from thimble.errors import BoardError

KIB = 1024
MIB = 1024 * KIB

# The contract with the design: these must exist, under these names.
EXPECTED = {
    *("adafruit-metro-m0", "alif-e7", "apollo4-plus", "arduino-mega", "arduino-nano", "arduino-pro-mini", "blue-pill"),
    *("disco-f746ng", "esp32", "esp32-s3", "feather-nrf52840", "huzzah32", "imxrt1060", "imxrt1170", "l2-2mb"),
    *("l2-4mb", "max78000", "microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"),
    *("b-u585i-iot02a", "cy8cproto-062-4343w", "ek-ra6m4"),
    *("nrf5340-dk", "nucleo-h7a3zi-q", "nucleo-l4r5zi", "nucleo-u575zi-q", "rp2040", "rp2350", "stm32h743"),
}
TARGETS = {
    *("host", "avr", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"),
    *("riscv32", "xtensa", "npu"),
}

# A small board that loads; each bad file below is this one with a single thing broken.
GOOD = """\
name = "tiny"
title = "Tiny board"
mcu = "X1"
target = "cortex-m4"

[core]
name = "Cortex-M4"
architecture = "armv7e-m"
clock_hz = { value = 64000000, source = "DOC, table 1" }

[[regions]]
name = "flash"
kind = "flash"
origin = { value = 0, source = "DOC, table 2" }
size = { value = 65536, source = "DOC, table 2" }
volatile = false

[[regions]]
name = "ram"
kind = "sram"
origin = { value = 0x20000000, source = "DOC, table 2" }
size = { value = 8192, source = "DOC, table 2" }
volatile = true

[documents]
DOC = "A datasheet, rev 1"
"""


def figures(value: object, path: str = "") -> Iterator[tuple[str, Figure]]:
    """Every number of a board with its key, such as `core.clock_hz`."""
    if isinstance(value, Figure):
        yield path, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            name = item.name if isinstance(item, Region) else str(index)
            yield from figures(item, f"{path}[{name}]")
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from figures(getattr(value, field), f"{path}.{field}".lstrip("."))


def cited(figure: Figure) -> str:
    """The document that a source names: what stands before its first comma."""
    return figure.source.partition(",")[0].strip()


def region(board: Board, name: str) -> Region:
    return next(r for r in board.regions if r.name == name)


def test_the_first_set_of_boards_ships() -> None:
    assert set(board_names()) == EXPECTED


@pytest.mark.parametrize("name", board_names())
def test_shipped_board_is_well_formed(name: str) -> None:
    board = load_board(name)
    assert board.name == name  # the file's name is how a user asks for it
    assert board.target in TARGETS
    assert board_text(name).startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert 1e6 <= board.core.clock_hz.value <= 2e9
    assert board.core.count >= 1
    assert board.emulator in ("", name)  # emulated boards carry the name of QEMU's machine


@pytest.mark.parametrize("name", board_names())
def test_every_number_cites_a_listed_document(name: str) -> None:
    board = load_board(name)
    found = list(figures(board))
    # Three per board at least (clock, one origin, one size); fewer would mean that this test looks at nothing.
    assert len(found) >= 3
    wrong = [f"{key}: {f.source}" for key, f in found if f.source and cited(f) not in board.documents]
    assert wrong == []
    assert {cited(f) for _, f in found if f.source} == set(board.documents)  # no document is listed for nothing
    assert [key for key, f in found if f.estimate and len(f.estimate) < 6] == []  # an estimate says how


@pytest.mark.parametrize("name", board_names())
def test_numbers_a_user_relies_on_are_sourced(name: str) -> None:
    """Where a memory lies, how large it is and how fast the core runs decide whether a model fits: no guesses there."""
    board = load_board(name)
    assert board.core.clock_hz.source
    for r in board.regions:
        assert r.origin.source and r.size.source, r.name


@pytest.mark.parametrize("name", board_names())
def test_regions_are_plausible(name: str) -> None:
    board = load_board(name)
    for r in board.regions:
        assert r.size.value > 0 and r.size.value % 4 == 0, r.name
        assert r.origin.value % 4 == 0 and r.address + r.bytes <= 1 << 32, r.name
        if r.bank_size is not None:  # banks tile the region
            assert 0 < r.bank_size.value <= r.bytes and r.bytes % r.bank_size.value == 0, r.name
        if r.read_cycles is not None:
            assert 1 <= r.read_cycles.value <= 500, r.name
        if r.width_bits is not None:
            assert int(r.width_bits.value) in (4, 8, 16, 32, 64, 128, 256), r.name
        assert r.volatile == (r.kind in ("sram", "tcm", "dtcm", "psram", "sdram", "ddr") or _itcm_of_a_chip(board, r))


def _itcm_of_a_chip(board: Board, r: Region) -> bool:
    # QEMU's M55 machine has no flash: its ITCM is filled with the image before reset and counts as flash.
    return r.kind == "itcm" and not board.emulator


@pytest.mark.parametrize("name", [n for n in board_names() if not n.startswith("l2-")])
def test_a_program_has_somewhere_to_live(name: str) -> None:
    assert any((not r.volatile and r.executable) or r.kind == "flash" for r in load_board(name).regions)


@pytest.mark.parametrize(
    ("name", "ram", "span", "flash"),
    [
        ("arduino-nano", 2 * KIB, 2 * KIB, 32 * KIB),  # ATmega328P: 2 KB SRAM, 32 KB flash
        ("arduino-mega", 8 * KIB, 8 * KIB, 256 * KIB),  # ATmega2560: 8 KB SRAM, 256 KB flash
        ("adafruit-metro-m0", 32 * KIB, 32 * KIB, 256 * KIB),  # SAMD21G18: the 18 stands for 256 KB
        ("blue-pill", 20 * KIB, 20 * KIB, 64 * KIB),  # F103C8: 20 KB, and 8 stands for 64 KB (a CB has 128)
        ("feather-nrf52840", 256 * KIB, 256 * KIB, 1 * MIB),  # 8 x 8 KB and 6 x 32 KB sections
        ("nrf5340-dk", 512 * KIB, 512 * KIB, 1 * MIB),  # application core only
        ("nucleo-l4r5zi", 640 * KIB, 640 * KIB, 2 * MIB),  # 192 + 64 + 384 KB, adjacent
        ("nucleo-u575zi-q", 784 * KIB, 768 * KIB, 2 * MIB),  # "786 KB" counts 2 KB backup; SRAM4's 16 KB lie apart
        ("nucleo-h7a3zi-q", 1376 * KIB, 1 * MIB, 2 * MIB),  # 1 MB AXI in one piece, 64+128 TCM, 128 AHB, 32 SRD
        ("stm32h743", 1056 * KIB, 512 * KIB, 2 * MIB),  # AXI SRAM is the largest piece of 64+128+512+288+64
        ("disco-f746ng", 336 * KIB, 320 * KIB, 1 * MIB),  # DTCM 64 + 240 + 16 are adjacent; 16 KB ITCM apart
        ("max78000", 128 * KIB, 128 * KIB, 512 * KIB),  # 32 + 32 + 48 + 16, without the CNN's own memories
        # 384 TCM + 1024 + 384 extended + 1024 = 2.75 MB; of the 2 MB MRAM the bootloader keeps the first 96 KB
        ("apollo4-plus", 2816 * KIB, 2816 * KIB, 2 * MIB - 96 * KIB),
        ("mps2-an386", 4 * MIB, 4 * MIB, 4 * MIB),  # ZBT SSRAM1 for code, SSRAM2+3 for data
        ("mps3-an547", 6656 * KIB, 4 * MIB, 512 * KIB),  # 512K DTCM + 2M + (2+2)M; code in 512K ITCM
        ("microbit", 16 * KIB, 16 * KIB, 256 * KIB),  # nRF51822 xxAA as QEMU builds it
    ],
)
def test_sizes_of_well_known_boards(name: str, ram: int, span: int, flash: int) -> None:
    board = load_board(name)
    assert sum(r.bytes for r in board.ram) == ram
    assert board.ram_span() == span
    assert sum(r.bytes for r in board.regions if not r.volatile and not r.external) == flash


@pytest.mark.parametrize(
    ("name", "ram", "boot_flash"),
    [
        ("rp2040", 264 * KIB, 2 * MIB),  # 4 x 64 + 2 x 4 KB; the Pico carries a 2 MB chip
        ("rp2350", 520 * KIB, 4 * MIB),  # 8 x 64 + 2 x 4 KB; the Pico 2 carries a 4 MB chip
        ("esp32", 328 * KIB, 4 * MIB),  # SRAM1 128 + SRAM2 200 KB: what the data bus reaches of 520 KB
        ("esp32-s3", 480 * KIB, 8 * MIB),  # SRAM1 416 + SRAM2 64 KB of 512 KB; N8R8 module
        ("imxrt1060", 1 * MIB, 8 * MIB),  # 128 + 128 + 256 FlexRAM + 512 OCRAM2; 64 Mbit flash
        ("imxrt1170", 1792 * KIB, 16 * MIB),  # 512 FlexRAM + 256 of the M4 + 2 x 512 OCRAM; 128 Mbit flash
    ],
)
def test_chips_without_flash_of_their_own(name: str, ram: int, boot_flash: int) -> None:
    board = load_board(name)
    assert sum(r.bytes for r in board.ram) == ram
    assert [r.bytes for r in board.regions if not r.volatile] == [boot_flash]
    assert all(r.external for r in board.regions if not r.volatile)


def test_external_memories_are_marked() -> None:
    disco = load_board("disco-f746ng")
    # 128-Mbit SDRAM of which the 16-bit wiring reaches half; 128-Mbit serial flash
    assert (region(disco, "sdram").bytes, region(disco, "sdram").external) == (8 * MIB, True)
    assert (region(disco, "qspi-flash").bytes, region(disco, "qspi-flash").external) == (16 * MIB, True)
    assert region(load_board("esp32-s3"), "psram").external
    for name in board_names():
        for r in load_board(name).regions:
            assert r.external or r.kind not in ("psram", "sdram", "ddr"), (name, r.name)


def test_avr_program_and_data_spaces_are_apart() -> None:
    for name in ("arduino-nano", "arduino-pro-mini", "arduino-mega"):
        board = load_board(name)
        assert {r.space for r in board.regions} == {"program", "data"}
        assert region(board, "flash").space == "program"  # LPM, address 0
        assert region(board, "sram").address in (0x100, 0x200)  # registers and I/O lie below


def test_accelerators() -> None:
    cnn = load_board("max78000").accelerator
    assert cnn is not None and cnn.weight_bytes is not None
    assert cnn.weight_bytes.value == 64 * 768 * 9  # processors x kernels x 3x3 bytes = 442,368
    for name, size in (("l2-2mb", 2 * MIB), ("l2-4mb", 4 * MIB)):
        board = load_board(name)
        assert board.ram_span() == size
        assert region(board, "l2").size.source == "definition of this generic board"
        assert region(board, "ddr").external


def test_good_example_loads() -> None:
    assert read_board(GOOD, "tiny.toml").ram_span() == 8192


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('mcu = "X1"', 'mcu = "X1"\ncolour = "red"', "colour"),  # unknown key, top level
        ("volatile = true", "volatile = true\nsped = 1", "sped"),  # unknown key in a region
        ('mcu = "X1"\n', "", "mcu"),  # missing key
        ("volatile = true\n", "", "volatile"),  # missing key in a region
        ("{ value = 8192, source", "{ source", "value"),  # a number without its value
        ('{ value = 64000000, source = "DOC, table 1" }', "{ value = 64000000 }", "clock_hz"),  # without source
        ('{ value = 64000000, source = "DOC, table 1" }', "64000000", "clock_hz"),  # a bare number
        ('source = "DOC, table 1"', 'source = "DOC, table 1", estimate = "guess"', "clock_hz"),  # both
        ("value = 8192", "value = -8192", "size"),  # negative
        ("value = 8192", 'value = "8K"', "size"),  # text for a number
        ('kind = "sram"', 'kind = "core-rope"', "kind"),  # no such kind
        ("value = 0x20000000", "value = 0x00008000", "overlap"),  # inside the flash
        ('name = "ram"', 'name = "flash"', "same name"),
        ("volatile = true", "volatile = false", "volatile"),  # nothing left that can hold activations
        ('title = "Tiny board"', "title = Tiny board", "tiny.toml"),  # not TOML
        ('mcu = "X1"', 'mcu = "X1"\nmcu = "X2"', "tiny.toml"),  # a key twice is not TOML either
    ],
)
def test_bad_board_names_file_and_key(old: str, new: str, key: str) -> None:
    assert old in GOOD
    with pytest.raises(BoardError) as caught:
        read_board(GOOD.replace(old, new), "tiny.toml")
    message = str(caught.value)
    assert message.startswith("tiny.toml: ")
    assert key in message


@pytest.mark.parametrize("text", ["", "\x00", "[", "name = 1", "= = =", "[[regions]]\n" * 3])
def test_rubbish_is_a_board_error(text: str) -> None:
    with pytest.raises(BoardError, match=r"^rubbish\.toml: "):
        read_board(text, "rubbish.toml")


def test_overlap_in_different_spaces_is_fine() -> None:
    harvard = GOOD.replace("volatile = true", 'volatile = true\nspace = "data"')
    assert read_board(harvard.replace("value = 0x20000000", "value = 0"), "tiny.toml").ram_span() == 8192


def test_board_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_board(str(path)).name == "tiny"


def test_bad_board_by_path_names_the_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("value = 8192", "value = -1"), encoding="utf-8")
    with pytest.raises(BoardError, match=r"mine\.toml: .*size"):
        load_board(str(path))


def test_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(BoardError, match=r"binary\.toml: cannot be read"):
        load_board(str(path))


@pytest.mark.parametrize("name", ["no-such-board", "no-such-file.toml", "nucleo-l4r5zi.toml", "../boards/rp2040", ""])
def test_unknown_board_lists_the_known_ones(name: str) -> None:
    with pytest.raises(BoardError, match=r"no board named .*known: .*nucleo-l4r5zi"):
        load_board(name)
