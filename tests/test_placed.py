# SPDX-License-Identifier: Apache-2.0
"""Placed programs: the bytes of the unplaced ones, every access in the memory that the plan says.

itcm | code of steps       |     emulated boards with wait states in their outer memories and little of the inner
dtcm | weights | stack | arena   ones, so that everything has to be divided; sections with another home are copied
sram | weights | arena     |     by the bundle's start-up from where the emulator loaded them
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from compiled import SANITIZED
from conftest import MODELS
from small import small_network
from test_emulate import emulated
from thimble import pipeline, produce, zoo
from thimble.board import Board, Figure, Region, load_board
from thimble.bundle import read_manifest
from thimble.compile import compile_model, flavour_of
from thimble.emit import constants_of, emit
from thimble.emulate import MACHINES, Bundle, bundle_of, emulate, emulate_bundle
from thimble.emulation.build import build
from thimble.errors import InternalError, OptionError
from thimble.execute import Executor
from thimble.host import HostProgram, interface_of
from thimble.inference import arrays_for
from thimble.ir import Model
from thimble.kernel import Flavour
from thimble.place_board import pairs_of, placed_best, program_setting
from thimble.place_parts import slices
from thimble.placed import moved, placed_program
from thimble.placement import NoRoom
from thimble.program import FLASH, Program, Step
from thimble.target import target_named
from thimble.verify_program import verify_program

CYCLES = {"sram": 3, "sram2": 5, "ddr": 12, "psram": 10, "qspi": 20}
ROOM = {
    "mps3-an547": {"itcm": 9_000, "dtcm": 12_000},
    "mps2-an386": {"ssram23": 7_000},
}
TIGHT = {"mps3-an547": {"itcm": 2_000, "dtcm": 1_100}, "mps2-an386": {"ssram23": 1_000}}
"""For the small network, whose tensors take about a kilobyte."""


def tight(name: str, room: Mapping[str, int]) -> Board:
    """An emulated board whose outer memories are slow, and whose inner ones are small."""
    board = load_board(name)
    return msgspec.structs.replace(board, regions=tuple(_tight(region, room) for region in board.regions))


def _tight(region: Region, room: Mapping[str, int]) -> Region:
    cycles = Figure(CYCLES.get(region.name, 1), estimate="for the test")
    size = Figure(room.get(region.name, region.bytes), estimate="for the test")
    return msgspec.structs.replace(region, size=size, read_cycles=cycles, write_cycles=cycles)


def compiled(model: Model, machine: str, rung: int = 3) -> Program:
    return compile_model(model, flavour=flavour_of(target_named(MACHINES[machine].target)), rung=rung, name="net")


@cache
def small(machine: str = "mps3-an547", rung: int = 3) -> Program:
    return placed_program(compiled(small_network(), machine, rung), tight(machine, TIGHT[machine]), "latency")


def check_memories(program: Program, machine: str, steps: tuple[Mapping[str, int], ...]) -> None:
    """Each step touched the memories that the plan says, else only those of the stack and of small constants."""
    layout = program.layout
    assert layout is not None
    constants = constants_of(program)
    program_memory = next((m.name for m in layout.memories if m.origin == MACHINES[machine].code.origin), "code")
    for number, (step, found) in enumerate(zip(program.steps, steps, strict=True)):
        if step.is_view:
            assert not found
            continue
        needed = {program.arenas[arena].name for arena in arenas_of(step)}
        weights = {c.step for c in constants.values() if c.step is not None and _uses(step, c.data)}
        sections = {layout.weights[first] for first in weights} | {layout.code[number]} - {""}
        allowed = needed | {layout.section(name).memory for name in sections if name} | {layout.stack, program_memory}
        assert needed <= set(found) <= allowed, f"step {number}: {found}, planned {allowed}"


def arenas_of(step: Step) -> set[int]:
    found = {a.arena for a in (*step.reads, *step.writes) if a.arena != FLASH and a.view.nbytes}
    return found | ({step.scratch[0]} if step.scratch is not None else set())


def _uses(step: Step, data: bytes) -> bool:
    whole = (a.view.tensor.data for a in step.reads if a.arena == FLASH)
    return any(c.data == data for c in step.call.constants) or any((d or b"").startswith(data) for d in whole)


@pytest.mark.parametrize("rung", [0, 3, 5])
def test_every_rung_is_placed(rung: int) -> None:
    model = small_network()
    program = small(rung=rung)
    assert len(program.arenas) == 2
    inputs = arrays_for(interface_of(program).inputs, ())
    with HostProgram(program, flags=SANITIZED) as network:
        for got, wanted in zip(network.run(*inputs), Executor(model).run(*inputs), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_a_step_gets_the_arenas_that_it_touches() -> None:
    text = emit(small())["net.c"]
    layout = small().layout
    assert layout is not None
    first = re.search(r"void step_0\(([^)]*)\)", text)
    assert first is not None
    assert first[1].count("uint8_t *") == len(arenas_of(small().steps[0]))
    assert "void net_invoke(const net_arenas *arenas)" in text
    assert f'THIMBLE_PLACE("{layout.code[0]}.step_0")' in text
    assert f'THIMBLE_PLACE("{layout.weights[0]}.net_k0")' in emit(small())["net_weights.c"]


def test_one_memory_keeps_the_interface_of_one_arena() -> None:
    program = compiled(small_network(), "mps3-an547")
    placed = placed_program(program, load_board("mps3-an547"), "latency")
    assert [arena.name for arena in placed.arenas] == ["dtcm"]
    assert placed.arena_bytes <= program.arena_bytes
    files, plain = emit(placed), emit(program)
    assert "void net_invoke(uint8_t *arena)" in files["net.c"]
    assert set(files) == set(plain)
    assert "THIMBLE_PLACE" not in "".join(plain.values())


def test_parts_that_share_bytes_move_together_and_stay_aligned() -> None:
    program, plain = small(rung=5), compiled(small_network(), "mps3-an547", rung=5)
    old, new = dict(plain.places), dict(program.places)
    for group in slices(plain):
        assert group.start % 8 == 0
        assert len({(new[t][0], new[t][1] - old[t][1]) for t in group.tensors}) == 1
        assert all((new[t][1] - old[t][1]) % 8 == 0 for t in group.tensors)
    assert all(step.scratch is None or step.scratch[1] % 8 == 0 for step in program.steps)


def test_slices_move_with_what_they_are_parts_of() -> None:
    model = zoo.build("squeezenet", resolution=32)
    program = compile_model(model, flavour=Flavour.PORTABLE, rung=3, optimize=None)
    assert program.slices
    setting = program_setting(program, tight("mps3-an547", {"dtcm": program.arena_bytes // 2}))
    best = placed_best(setting, "latency", pairs_of(setting))
    assert not isinstance(best, NoRoom)
    placed = moved(program, best, "latency")
    assert len(placed.arenas) > 1
    verify_program(placed)
    old, new = dict(program.places), dict(placed.places)
    for tensor, part in program.slices:
        assert new[tensor][0] == new[part.root][0]
        assert new[tensor][1] - new[part.root][1] == old[tensor][1] - old[part.root][1]


def test_inputs_can_be_kept() -> None:
    program = compile_model(small_network(), flavour=Flavour.PORTABLE, rung=3, name="net", keep_inputs=True)
    placed = placed_program(program, tight("mps3-an547", TIGHT["mps3-an547"]), "latency", keep_inputs=True)
    inputs = arrays_for(interface_of(placed).inputs, ())
    with HostProgram(placed) as network:
        network.store(*inputs)
        network.invoke()
        first = network.results()
        network.invoke()
        np.testing.assert_array_equal(first[0], network.results()[0])


def test_the_verifier_sees_arenas_apart() -> None:
    program = small()
    step = next(s for s in program.steps if len({a.arena for a in (*s.reads, *s.writes) if a.arena != FLASH}) > 1)
    swapped = replace(step, writes=tuple(replace(a, arena=1 - a.arena) for a in step.writes))
    steps = tuple(swapped if s is step else s for s in program.steps)
    with pytest.raises(InternalError):
        verify_program(replace(program, steps=steps))


def test_sizes_of_code_are_measured_where_there_is_a_compiler() -> None:
    layout = small().layout
    assert layout is not None
    code = {part.bytes for part in layout.parts if part.kind == "code"}
    assert shutil.which("arm-none-eabi-gcc") is None or code != {500}
    setting = program_setting(compiled(small_network(), "mps3-an547"), load_board("mps3-an547"))
    assert {part.size for part in setting.parts.parts if part.kind == "code"} == {500}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"board": None, "target": "cortex-m4"}, "say on which board"),
        ({"place": "speed"}, "--place speed: there are latency, energy, mix"),
        ({"package": "arduino"}, "--package cmake"),
        ({"optimize": "size"}, "code of its own"),
        ({"board": "arduino-mega", "target": None}, "there is no choice"),
    ],
)
def test_what_cannot_be_placed(tmp_path: Path, options: dict[str, str], message: str) -> None:
    given = {"board": "apollo4-plus", "place": "latency", **options}
    with pytest.raises(OptionError, match=message):
        produce.compile_bundle("demo", tmp_path / "net", **given)  # type: ignore[arg-type]


def test_a_network_that_does_not_fit_says_how_much_is_missing() -> None:
    program = compiled(small_network(), "mps3-an547")
    with pytest.raises(OptionError, match=r"does not fit the memories of mps3-an547: [\d,]+ bytes are missing"):
        board = tight("mps3-an547", dict.fromkeys(("itcm", "dtcm", "sram", "sram2", "qspi", "ddr"), 1_000))
        placed_program(program, board, "latency")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose weights and activations are in a memory with banks."""
    made = tmp_path_factory.mktemp("placed") / "net"
    bundle = produce.compile_bundle("demo", made, board="apollo4-plus", place="energy", name="net")
    assert json.loads((made / "manifest.json").read_text()) == json.loads(json.dumps(bundle.manifest))
    return made


def test_the_bundle_of_a_placement(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["fits"] is True
    assert {row["region"] for row in manifest["placements"]} == {"tcm0..tcm1", "mram"}
    copied = [row for row in manifest["placements"] if row["home"]]
    assert sum(row["bytes"] for row in copied) == manifest["copied_bytes"] > 0
    banks = {bank["region"]: bank["on"] for bank in manifest["layout"]["banks"]}
    assert banks["tcm0"]
    assert not banks["ssram0"]
    assert "#define NET_BANKS_ON {{0x10000000u, 131072u}}" in (folder / "net.h").read_text()
    assert "net_startup();" in (folder / "README.md").read_text()
    assert "option(NET_PLACED" in (folder / "CMakeLists.txt").read_text()
    assert produce.run(folder).arena_bytes == manifest["arena_bytes"]


def test_manifests_that_name_other_memories_are_refused(folder: Path, tmp_path: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["layout"]["memories"][0]["name"] = "x } > y"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(OptionError, match="memories and sections"):
        produce.run(tmp_path)


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "machine", [pytest.param(n, marks=[emulated(n), pytest.mark.emulator]) for n in names]
    )


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("machine", "rung"),
    [pytest.param(m, rung, marks=emulated(m)) for m, rung in (("mps3-an547", 3), ("mps3-an547", 5), ("mps2-an386", 3))],
)
def test_every_access_lands_where_the_plan_says(machine: str, rung: int) -> None:
    check_on(small_network(), small(machine, rung), machine)


def check_on(model: Model, program: Program, machine: str) -> None:
    inputs = arrays_for(interface_of(program).inputs, ())
    measured = emulate(program, [inputs], machine, per_step=True)
    unplaced = emulate(compiled(model, machine, rung=0), [inputs], machine, memory=False)
    for got, wanted in zip(measured.outputs[0], unplaced.outputs[0], strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert measured.outside_accesses == 0, measured.first_outside
    assert measured.footprint.arena == program.arena_bytes
    assert program.layout is not None
    assert len({section.memory for section in program.layout.sections}) > 1
    if not program.streams:
        check_memories(program, machine, measured.inferences[0].step_memory_words)


MLPERF_TINY = [
    ("kws_ref_model_int8", "mps2-an386"),
    ("kws_ref_model_int8", "mps3-an547"),
    ("ad01_int8", "mps3-an547"),
    ("pretrainedResnet_quant", "mps3-an547"),
    ("vww_96_int8", "mps3-an547"),
]


@pytest.mark.emulator
@pytest.mark.parametrize(("name", "machine"), [pytest.param(*p, marks=emulated(p[1])) for p in MLPERF_TINY])
def test_mlperf_tiny_lands_where_the_plan_says(machine: str, name: str, models_dir: Path) -> None:
    model = pipeline.load(models_dir / f"{name}.tflite")
    program = placed_program(compiled(model, machine), tight(machine, ROOM[machine]), "latency")
    assert len(program.arenas) > 1 or name == "ad01_int8"
    check_on(model, program, machine)


@each("mps3-an547")
def test_sections_are_at_addresses_of_their_memories(machine: str, tmp_path: Path) -> None:
    program = small()
    layout = program.layout
    assert layout is not None
    image = build(tmp_path, bundle_of(program), MACHINES[machine]).image
    spans = {
        region.name: range(region.address, region.address + region.bytes) for region in load_board(machine).regions
    }
    functions = {name: address for address, name in image.functions}
    for number, section in enumerate(layout.code):
        if section:
            assert functions[f"step_{number}"] in spans[layout.section(section).memory]
    for copied in layout.copies:
        assert image.symbols[f"{copied.symbol}_load"] in spans[copied.home]
        assert image.symbols[f"{copied.symbol}_start"] in spans[copied.memory]


@each("mps3-an547")
def test_weights_are_there_because_start_up_copies_them(machine: str) -> None:
    program = small()
    assert program.layout is not None
    assert program.layout.copies
    inputs = arrays_for(interface_of(program).inputs, ())
    bundle = bundle_of(program)
    files = dict(bundle.files)
    copy = re.compile(r"^  memcpy\(\w+_weights_\w+_start, .*$", re.MULTILINE)
    assert len(copy.findall(files["net.c"])) == sum(section.kind == "weights" for section in program.layout.copies)
    files["net.c"] = copy.sub("", files["net.c"])
    without = emulate_bundle(Bundle(bundle.interface, files, bundle.layout), [inputs], machine, memory=False)
    with_copies = emulate(program, [inputs], machine, memory=False)
    assert any((a != b).any() for a, b in zip(without.outputs[0], with_copies.outputs[0], strict=True))


USER_SCRIPT = """
MEMORY {
  %s
}
%s
SECTIONS {
  INCLUDE net.ld
  .text : { *(.text .text.* .rodata .rodata.*) } > %s
  .ARM.exidx : { *(.ARM.exidx*) } > %s
  .data : { *(.data .data.* .bss .bss.*) } > %s
}
"""


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed")
def test_the_linker_fragment_in_a_users_script(folder: Path, tmp_path: Path) -> None:
    written = read_manifest(folder)
    layout = written.layout
    assert layout is not None
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    memories = "\n  ".join(f"{m.name} : ORIGIN = {m.origin:#x}, LENGTH = {m.size}" for m in layout.memories)
    aliases = "\n".join(f'REGION_ALIAS("NET_{m.name.upper()}", {m.name})' for m in layout.memories)
    (tmp_path / "user.ld").write_text(USER_SCRIPT % (memories, aliases, "mram", "mram", layout.stack))
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nvoid start(void);\n'
        "void start(void) { net_startup(); net_init(net_arena); net_invoke(net_arena); for (;;) {} }\n"
        "static const uint32_t banks[][2] = NET_BANKS_ON;\nuint32_t bank(uint32_t i);\n"
        "uint32_t bank(uint32_t i) { return banks[i][0]; }\n"
    )
    command = (
        "arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -O1 -std=c11 -DTHIMBLE_PLACED"
    )
    sources = ["main.c", "net.c", "net_weights.c", "net_arena.c"]
    options = ["-specs=nano.specs", "-nostartfiles", "-Wl,--gc-sections", "-Wl,-e,start", "-T", "user.ld", "-lm"]
    subprocess.run([*command.split(), *sources, *options, "-o", "net.elf"], cwd=tmp_path, check=True)
    done = subprocess.run(["arm-none-eabi-nm", "net.elf"], cwd=tmp_path, check=True, capture_output=True, text=True)
    symbols = {line.split()[2]: int(line.split()[0], 16) for line in done.stdout.splitlines()}
    spans = {m.name: range(m.origin, m.origin + m.size) for m in layout.memories}
    assert symbols["step_0"] in spans[layout.section(layout.code[0]).memory]
    assert symbols["net_k0"] in spans[layout.section(layout.weights[0]).memory]
    assert all(symbols[f"{section.symbol}_load"] in spans[section.home] for section in layout.copies)
    assert symbols["net_arena"] in spans[written.arenas[0].name]


@each("mps3-an547")
def test_a_model_is_placed_and_emulated_at_once(machine: str) -> None:
    outcome = produce.run("demo", machine=machine, place="latency", compare=True)
    assert outcome.measurement is not None
    assert outcome.comparison is not None
    assert outcome.comparison.exact
    assert {"dtcm", "itcm"} == set(outcome.measurement.inferences[0].memory_words)
    with pytest.raises(OptionError, match="on which board"):
        produce.run("demo", place="latency")


@each("mps3-an547")
def test_bundles_on_disk_are_placed_where_the_machine_has_the_memories(
    machine: str, tmp_path: Path, folder: Path
) -> None:
    produce.compile_bundle("demo", tmp_path / "net", board=machine, place="mix")
    again = produce.run(tmp_path / "net", machine=machine)
    assert again.measurement is not None
    assert again.measurement.inferences[0].memory_words.keys() == {"dtcm", "itcm"}
    other = produce.run(folder, machine="mps2-an386")  # which has no memory where the bundle's board has any
    assert other.measurement is not None
    assert not other.measurement.inferences[0].memory_words


def test_which_networks_are_meant() -> None:
    if not (MODELS / "INDEX.csv").is_file():
        pytest.skip(f"NO THIRD-PARTY MODEL IS PLACED: {MODELS} has none (set THIMBLE_MODELS)")
