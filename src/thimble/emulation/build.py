# SPDX-License-Identifier: Apache-2.0
"""Firmware of a bundle: compile it, and link it alone (for its sizes) or with start-up code and harness (to run it)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from string import Template

from thimble.c_rows import Event, event_name
from thimble.emulation.elf import Footprint, Image, footprint, read_image
from thimble.emulation.machines import Isa, Machine, Memory
from thimble.emulation.stack import call_graph, stack_bound
from thimble.emulation.toolchain import Toolchain, checked, toolchain
from thimble.errors import OptionError
from thimble.host import Interface, Port, write_files
from thimble.layout import Layout, Section

_START: dict[Isa, tuple[str, ...]] = {
    "arm": ("start_arm.c", "host_semihosting.c"),
    "riscv": ("start_riscv.S", "host_semihosting.c"),
    "avr": ("start_avr.S", "host_avr.c"),
}
_PARTS = ("code", "weights", "arena")
STACK_RESERVE = 512  # for the harness and its marks, beyond what the bundle needs
LEAST_STACK = 16 << 10  # where memory is plentiful
PLENTY = 256 << 10
STEP_PREFIX = "thimble_step_"
HOOK = f'__asm__ volatile("{STEP_PREFIX}%c0_%=: nop" : : "i"(step) : "memory")'
"""What stands before every step of a build that counts per step: a label on an instruction that does nothing."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Generated C files by path, how their functions are called, and which memory holds what if that was decided."""

    interface: Interface
    files: Mapping[str, str]
    layout: Layout | None = None

    @property
    def name(self) -> str:
        return self.interface.name


@dataclass(frozen=True, slots=True)
class Firmware:
    """Linked code, and what is known of it; `stack_bound` is None where the compiler tells no frames."""

    elf: Path
    image: Image
    footprint: Footprint
    stack_bound: int | None
    stack: tuple[int, int]  # addresses [low, high)
    memories: Mapping[str, str] = field(default_factory=dict)  # of a placed bundle: the memory of each section


def build(
    folder: Path,
    bundle: Bundle,
    machine: Machine,
    *,
    flags: Sequence[str] = ("-O2",),
    compiler: str | None = None,
    hooks: bool = False,
) -> Firmware:
    """Firmware that runs the bundle in the emulator, built in an existing folder.

    Args:
        folder: where all files go.
        bundle: the generated code.
        machine: what it is for.
        flags: of the compiler, for the bundle alone.
        compiler: see `toolchain`.
        hooks: mark every step.

    Raises:
        OptionError: no compiler, or it refuses the sources, or they do not fit in the machine.
    """
    tools = toolchain(machine, compiler)
    extra = (f"-D{bundle.name.upper()}_HOOK(step)={HOOK}",) if hooks else ()
    placed = ("-DTHIMBLE_PLACED",) if bundle.layout is not None else ()
    objects = _compiled(folder, bundle, tools, (*flags, *extra, *placed))
    harness = _harness(folder, bundle, machine, tools)
    bound = _stack_bound(objects, bundle, machine)
    script = _script(objects, machine, "thimble_start", _stack_bytes(bound, machine), bundle.layout)
    firmware = _linked(folder, "firmware.elf", tools, machine, script, [*harness, *objects], bound)
    return firmware if bundle.layout is None else replace(firmware, memories=_memories(bundle.layout, machine))


def sizes(
    folder: Path, bundle: Bundle, machine: Machine, *, flags: Sequence[str] = ("-O2",), compiler: str | None = None
) -> tuple[Footprint, int | None]:
    """What the bundle will take of any firmware for the machine's processor: its sizes and the bound of its stack.

    The firmware's own code plays no part, and the machine's memory sets no limit. Raises as `build`.
    """
    tools = toolchain(machine, compiler)
    objects = _compiled(folder, bundle, tools, tuple(flags))
    bound = _stack_bound(objects, bundle, machine)
    script = _script(objects, _roomy(machine), f"{bundle.name}_invoke", 0)
    keep = [f"-Wl,-u,{bundle.name}_init", f"-Wl,-u,{bundle.name}_arena"]
    firmware = _linked(folder, "bundle.elf", tools, machine, script, [*objects, *keep], bound)
    return firmware.footprint, bound


def code_sizes(
    folder: Path, bundle: Bundle, machine: Machine, *, flags: Sequence[str] = ("-O2",)
) -> tuple[dict[int, int], int]:
    """Bytes of the code of each step by number, and the bound of the stack. Raises as `build`."""
    objects = _compiled(folder, bundle, toolchain(machine), tuple(flags))
    found = re.compile(r"\.text\.step_(\d+)")
    sections = read_image(objects[0]).sections
    steps = {int(match[1]): size for name, (_, size) in sections.items() if (match := found.fullmatch(name))}
    return steps, _stack_bound(objects, bundle, machine) or 0


def _compiled(folder: Path, bundle: Bundle, tools: Toolchain, flags: tuple[str, ...]) -> list[Path]:
    write_files(folder / "bundle", dict(bundle.files))
    sources = dict(zip(_PARTS, (f"{bundle.name}.c", f"{bundle.name}_weights.c", f"{bundle.name}_arena.c"), strict=True))

    def translate(part: str) -> None:
        command = [*tools.bundle, *flags, "-c", f"bundle/{sources[part]}", "-o", f"model_{part}.o"]
        checked(command, folder, f"{Path(command[0]).name} refuses the bundle")

    with ThreadPoolExecutor() as pool:
        list(pool.map(translate, _PARTS))
    return [folder / f"model_{part}.o" for part in _PARTS]


def _harness(folder: Path, bundle: Bundle, machine: Machine, tools: Toolchain) -> list[Path]:
    package = resources.files("thimble") / "emulator"
    names = ["harness.c", *_START[machine.isa]]
    for name in [*names, "host.h"]:
        (folder / name).write_text((package / name).read_text(encoding="utf-8"), encoding="utf-8")
    ports = Template((package / "ports.h").read_text(encoding="utf-8"))
    (folder / "ports.h").write_text(
        ports.substitute(
            name=bundle.name,
            pointer=f"const {bundle.name}_arenas *const" if bundle.interface.arenas else "uint8_t *const",
            startup=f"{bundle.name}_startup()" if bundle.layout is not None else "((void)0)",
            reads=_transfers(bundle, "host_read", "input", bundle.interface.inputs),
            writes=_transfers(bundle, "host_write", "output", bundle.interface.outputs),
            rows="\n".join(_rows(bundle)) if bundle.interface.by_rows else "",
        ),
        encoding="utf-8",
    )
    made = []
    for name in names:
        made.append(folder / f"harness_{Path(name).stem}.o")
        command = [*tools.harness, "-Ibundle", "-c", name, "-o", made[-1].name]
        checked(command, folder, f"{Path(command[0]).name} refuses the harness")
    return made


def _transfers(bundle: Bundle, function: str, kind: str, ports: tuple[Port, ...]) -> str:
    calls = (
        f"{function}({bundle.name}_{kind}_{index}(arena), {bundle.name.upper()}_{kind.upper()}_{index}_BYTES);"
        for index, port in enumerate(ports)
        if port.nbytes and not port.rows
    )
    return " ".join(calls) or "(void)arena;"


def _rows(bundle: Bundle) -> Iterator[str]:
    """How rows are handed over, for the harness."""
    name, upper = bundle.name, bundle.name.upper()
    yield f"#define MODEL_BEGIN {name}_begin"
    yield f"#define MODEL_ROW_DONE {name}_row_done"
    yield f"#define MODEL_COMPLETE {event_name(name, Event.COMPLETE)}"
    moves = []
    for index, port in enumerate(bundle.interface.inputs):
        if port.rows:
            row = f"host_read({name}_next_row(arena), {upper}_INPUT_{index}_ROW_BYTES)"
            moves.append(f"if (event == {event_name(name, Event.ROW_WANTED)}) {row};")
    for index, port in enumerate(bundle.interface.outputs):
        if port.rows:
            row = f"host_write({name}_out_row(arena), {upper}_OUTPUT_{index}_ROW_BYTES)"
            moves.append(f"if (event == {event_name(name, Event.ROW_READY)}) {row};")
    yield f"#define MODEL_HAND_OVER(arena, event) {' '.join(moves)}"


def _stack_bound(objects: list[Path], bundle: Bundle, machine: Machine) -> int | None:
    functions = call_graph(objects)
    if functions is None:
        return None
    return stack_bound(functions, (f"{bundle.name}_init", f"{bundle.name}_invoke"), machine.isa)


def _stack_bytes(bound: int | None, machine: Machine) -> int:
    least = LEAST_STACK if machine.ram.size >= PLENTY else 0
    return max(least, (2048 if bound is None else bound) + STACK_RESERVE)


def _roomy(machine: Machine) -> Machine:
    """The machine without limits of its memory."""
    code, ram = machine.code.origin, machine.ram.origin
    return Machine(
        machine.name, machine.isa, machine.target, machine.flags, Memory(code, ram - code), Memory(ram, 1 << 30)
    )


def _script(objects: list[Path], machine: Machine, entry: str, stack: int, layout: Layout | None = None) -> str:
    """The linker script. Weights and arena go to the large memory where they do not fit in the others."""
    name = "avr.ld" if machine.isa == "avr" else "machine.ld"
    code, weights, arena = (read_image(path) for path in objects)
    constants = sum(size for name, (_, size) in weights.sections.items() if name.startswith(".rodata"))
    arena_bytes = sum(size for name, (_, size) in arena.sections.items() if name.startswith(".bss"))
    slack = code.size(*code.sections) + (64 << 10)
    template = Template((resources.files("thimble") / "emulator" / name).read_text(encoding="utf-8"))
    return template.substitute(
        entry=entry,
        code_origin=hex(machine.code.origin),
        code_size=machine.code.size,
        ram_origin=hex(machine.ram.origin),
        ram_size=machine.ram.size,
        big_origin=hex(machine.big.origin),
        big_size=machine.big.size,
        stack_size=stack,
        more_memories="\n".join(_more_memories(layout, machine)),
        placed="\n".join(_placed_sections(layout, machine)),
        stack="RAM" if layout is None or not layout.stack else _regions(layout, machine)[layout.stack],
        weights="BIG" if machine.big.size and constants + slack > machine.code.size else "CODE",
        arena="BIG" if machine.big.size and arena_bytes + stack + (4 << 10) > machine.ram.size else "RAM",
    )


def _regions(layout: Layout, machine: Machine) -> dict[str, str]:
    """What the linker's script calls the memories of a layout: they begin where the machine's do, or are added."""
    own = {machine.code.origin: "CODE", machine.ram.origin: "RAM", machine.big.origin: "BIG"}
    return {memory.name: own.get(memory.origin, f"PLACED_{memory.name.upper()}") for memory in layout.memories}


def _more_memories(layout: Layout | None, machine: Machine) -> Iterator[str]:
    for memory in layout.memories if layout is not None else ():
        region = _regions(layout, machine)[memory.name] if layout is not None else ""
        if region.startswith("PLACED_"):
            yield f"  {region} (rwx) : ORIGIN = {memory.origin:#x}, LENGTH = {memory.size}"


def _placed_sections(layout: Layout | None, machine: Machine) -> Iterator[str]:
    """The sections of a layout, by the names that the watch on accesses knows them by."""
    for number, section in enumerate(layout.sections if layout is not None else ()):
        assert layout is not None
        regions = _regions(layout, machine)
        to, name, symbol = regions[section.memory], _output_name(number, section), section.symbol
        if section.kind == "arena":
            yield f"  .guard_{number}_0 (NOLOAD) : {{ . += 64; }} > {to}"
            yield f"  {name} (NOLOAD) : {{ *({section.name}) }} > {to}"
            yield f"  .guard_{number}_1 (NOLOAD) : {{ . += 64; }} > {to}"
            continue
        load = f" AT> {regions[section.home]}" if section.home else ""
        inside = f"{symbol}_start = .; *({section.name}.*) . = ALIGN(8); {symbol}_end = .;"
        yield f"  {name} : ALIGN(8) {{ {inside} }} > {to}{load}"
        yield f"  {symbol}_load = LOADADDR({name});"


_OUTPUT_NAMES = {"weights": "weights", "code": "text", "arena": "arena"}


def _output_name(number: int, section: Section) -> str:
    return f".model_{number}_{_OUTPUT_NAMES[section.kind]}"


def _memories(layout: Layout, machine: Machine) -> dict[str, str]:
    """The memory of each section in firmware, also of what a layout says nothing of."""
    by_region = {region: name for name, region in _regions(layout, machine).items()}
    rest = {section: by_region.get(region, region.lower()) for section, region in _DEFAULT.items()}
    return rest | {_output_name(n, s): s.memory for n, s in enumerate(layout.sections)} | {"stack": layout.stack}


_DEFAULT = {
    ".model_text": "CODE",
    ".model_rodata": "CODE",
    ".library_text": "CODE",
    ".library_rodata": "CODE",
    ".harness_main": "CODE",
    ".model_weights": "CODE",
}
"""Where the linker's script puts what no layout names: parameters and tables, and all that is no step."""


def _linked(
    folder: Path,
    name: str,
    tools: Toolchain,
    machine: Machine,
    script: str,
    parts: Sequence[Path | str],
    bound: int | None,
) -> Firmware:
    (folder / f"{name}.ld").write_text(script, encoding="utf-8")
    files = [part.name if isinstance(part, Path) else part for part in parts]
    command = [*tools.link, "-T", f"{name}.ld", *files, "-lm", "-o", name]
    try:
        checked(command, folder, "the linker refuses the bundle")
    except OptionError as error:
        if "overflowed" in str(error) or "will not fit" in str(error):
            raise OptionError(f"the bundle does not fit in the memory of {machine.name}:\n{error}") from error
        raise
    if machine.isa == "avr":
        objcopy = shutil.which(f"{tools.binutils}objcopy") or f"{tools.binutils}objcopy"
        checked([objcopy, "-O", "binary", name, "flash.bin"], folder, "objcopy refuses the firmware")
    image = read_image(folder / name)
    low = image.symbols["thimble_stack_limit"]
    return Firmware(folder / name, image, footprint(image), bound, (low, image.symbols["thimble_stack_top"]))
