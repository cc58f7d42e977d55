# SPDX-License-Identifier: Apache-2.0
"""A bundle: everything that `thimble compile` writes, as text by path, and the manifest that describes it.

Program ─emit, selftest→ C sources ─packaged→ files of a build system
        └─measured_sizes→ Sizes ─manifest→ manifest.json, README.md
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from string import Template
from textwrap import dedent
from typing import Any

import msgspec

import thimble
from thimble import c_arenas, c_rows
from thimble.choose import Goal
from thimble.emit import constants_of, emit
from thimble.emulation.build import Bundle as Generated
from thimble.emulation.build import sizes
from thimble.emulation.machines import machine_for
from thimble.errors import OptionError
from thimble.host import NUMPY_NAMES, Interface, Port, interface_of
from thimble.kernel import Flavour
from thimble.ladder import Limits, within
from thimble.layout import Layout, PlacedPart
from thimble.lifetime import lifetimes
from thimble.packaging import SOURCE_FOLDER, Package, packaged, usage
from thimble.program import FLASH, ArenaBlock, Program, Step
from thimble.selftest import Case, selftest_files

FORMAT = 1
"""Of the manifest; changes when a field changes its meaning."""
MANIFEST = "manifest.json"
CALLS_CMSIS_NN = (
    "code size and stack are not known: they are those of your CMSIS-NN too, whose folder Include must be among the "
    "include folders, and whose library must be linked"
)
SHARE = "-DTHIMBLE_SHARE_KERNELS"
FLAGS: tuple[tuple[str, ...], ...] = (("-O2",), ("-Os",), ("-Os", SHARE))
"""What the compiler may be told."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a bundle comes from: the model, and what was asked for."""

    model: str
    sha256: str
    target: str
    flavour: Flavour
    rung: int
    limits: Limits
    board: str | None = None
    package: Package = "cmake"
    keep_inputs: bool = False


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the bundle's own code takes, compiled with `flags_of` its program; bytes.

    `flash_bytes` is code and constants, `static_bytes` RAM besides arena and stack, `stack_bytes` the most that `init`
    and `invoke` can need, None where the compiler does not say.
    """

    code_bytes: int
    flash_bytes: int
    static_bytes: int
    stack_bytes: int | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files by path, and the manifest, which is one of them."""

    program: Program
    files: Mapping[str, str]
    manifest: Mapping[str, Any]


def flags_of(program: Program) -> tuple[str, ...]:
    """Compiler flags that sizes and instructions are stated for, and that the build files set."""
    if goal_of(program) != Goal.SIZE.value:
        return FLAGS[0]
    return FLAGS[2] if program.selection is not None and program.selection.shared else FLAGS[1]


def goal_of(program: Program) -> str:
    """What its kernels were chosen to make small."""
    return Goal.BALANCED.value if program.selection is None else program.selection.goal


def make_bundle(
    program: Program,
    origin: Origin,
    cases: tuple[Case, ...] | str,
    notices: tuple[str, ...] = (),
    measured: Sizes | str | None = None,
) -> Bundle:
    """Everything that belongs to a compiled program.

    Args:
        program: what is to run.
        origin: where it comes from and what for.
        cases: of the self-test, or why there is none.
        notices: what the reader of the manifest should know besides.
        measured: its `linked_sizes`, if they are known already.
    """
    tested = () if isinstance(cases, str) else cases
    sources = emit(program)
    if measured is None:
        measured = linked_sizes(program, origin.flavour, origin.target)
    notices += tuple(text for text in (cases, measured) if isinstance(text, str))
    sources |= selftest_files(program, tested) if tested else {}
    words = {
        "name": program.name,
        "NAME": program.name.upper(),
        "arena_bytes": str(program.arena_bytes),
        "alignment": str(max(arena.alignment for arena in program.arenas)),
        "linker": _linker_fragment(program),
        "inference": _inference(program),
    }
    files = packaged(origin.package, sources, words, flags_of(program))
    described = manifest(program, origin, None if isinstance(measured, str) else measured, notices)
    described["sources"] = _host_sources(program, origin.package)
    described["files"] = sorted([*files, MANIFEST, "README.md"])
    files["README.md"] = _readme(described, words, bool(tested))
    files[MANIFEST] = json.dumps(described, indent=1, sort_keys=True) + "\n"
    return Bundle(program, dict(sorted(files.items())), described)


def _inference(program: Program) -> str:
    """Statements that run an inference in the bundle's own arena."""
    name, upper = program.name, program.name.upper()
    if program.position is None:
        return f"  {name}_invoke({name}_arena);"
    index = {own.kind: own.index for own in c_rows.handed(program)}
    wanted = f"      /* write {upper}_INPUT_{index.get('input')}_ROW_BYTES bytes to {name}_next_row({name}_arena) */"
    ready = f"      /* read {upper}_OUTPUT_{index.get('output')}_ROW_BYTES bytes from {name}_out_row({name}_arena) */"
    return c_rows.feeding(program, wanted, ready, f"{name}_arena")


def _linker_fragment(program: Program) -> str:
    """Of a program whose memories were chosen; "" for others."""
    if program.layout is None:
        return ""
    return _template("placed.ld").substitute(
        name=program.name,
        NAME=program.name.upper(),
        memories="\n".join(c_arenas.memory_line(program, memory) for memory in program.layout.memories),
        sections=c_arenas.linker_fragment(program),
    )


def linked_sizes(program: Program, flavour: Flavour, target: str) -> Sizes | str:
    """Sizes of a program's code linked for a target; or why they are not known."""
    if flavour.calls_cmsis_nn:
        return CALLS_CMSIS_NN
    return measured_sizes(Generated(interface_of(program), emit(program)), target, flags_of(program))


def constant_bytes(program: Program) -> int:
    """Bytes of the arrays in flash."""
    return sum(len(constant.data) for constant in constants_of(program).values())


def measured_sizes(generated: Generated, target: str, flags: tuple[str, ...]) -> Sizes | str:
    """Sizes of the code linked for a target; or why they are not known."""
    try:
        with tempfile.TemporaryDirectory(prefix="thimble-") as folder:
            footprint, stack = sizes(Path(folder), generated, machine_for(target), flags=flags)
    except OptionError as error:
        return f"code size and stack are not known: {error}"
    return Sizes(
        code_bytes=footprint.text + footprint.library[0],
        flash_bytes=footprint.flash_bytes,
        static_bytes=footprint.static_bytes,
        stack_bytes=stack,
    )


def manifest(program: Program, origin: Origin, taken: Sizes | None, notices: tuple[str, ...]) -> dict[str, Any]:
    """What a tool may want to know of a bundle. Null: not known."""
    weights = _weights(program)
    constant_bytes = sum(weight["bytes"] for weight in weights)
    stack = taken.stack_bytes if taken is not None else None
    copied = 0 if program.layout is None else program.layout.copied_bytes
    ram = program.arena_bytes + copied + taken.static_bytes + stack if taken is not None and stack is not None else None
    interface = interface_of(program)
    value = {
        "format": FORMAT,
        "thimble": thimble.__version__,
        "name": program.name,
        "model": {"name": origin.model, "sha256": origin.sha256},
        "target": origin.target,
        "board": origin.board,
        "kernels": origin.flavour.value,
        "rung": origin.rung,
        "package": origin.package,
        "keep_inputs": origin.keep_inputs,
        "flags": list(flags_of(program)),
        "optimize": goal_of(program),
        **_selection(program),
        "arena_bytes": program.arena_bytes,
        "arena_alignment": max(arena.alignment for arena in program.arenas),
        "arenas": [asdict(arena) for arena in program.arenas],
        "layout": None if program.layout is None else asdict(program.layout) | {"parts": []},
        "placements": [] if program.layout is None else [_placement(part) for part in program.layout.parts],
        "copied_bytes": copied,
        "constant_bytes": constant_bytes,
        "code_bytes": None if taken is None else taken.code_bytes,
        "flash_bytes": None if taken is None else taken.flash_bytes,
        "static_bytes": None if taken is None else taken.static_bytes,
        "stack_bytes": stack,
        "ram_bytes": ram,
        "ram_limit_bytes": origin.limits.ram,
        "flash_limit_bytes": origin.limits.flash,
        "macs": program.macs,
        "inputs": list(map(_port, interface.inputs)),
        "outputs": list(map(_port, interface.outputs)),
        "tensors": _tensors(program, origin.keep_inputs),
        "steps": _steps(program),
        "weights": weights,
        "notices": list(notices),
    }
    return value | {"fits": _fits(value, origin.limits) if program.layout is None else True}


def _placement(part: PlacedPart) -> dict[str, Any]:
    return asdict(part) | {"home": part.home or None}


def _fits(value: Mapping[str, Any], limits: Limits) -> bool | None:
    """Whether the bundle fits its board; None without a board, or where what is known does not decide it."""
    if limits.ram is None and limits.flash is None:
        return None
    ram, flash = value["ram_bytes"], value["flash_bytes"]
    beside = (value["constant_bytes"] if flash is None else flash) if limits.shared else 0
    least_ram = (value["arena_bytes"] if ram is None else ram) + beside
    least_flash = value["constant_bytes"] if flash is None else flash
    if not within(least_ram, limits.ram) or not within(least_flash, limits.flash):
        return False
    return None if ram is None or flash is None else True


def _tensors(program: Program, keep_inputs: bool) -> list[dict[str, Any]]:
    """What is in the arena: where, and during which operators of the schedule, [start, stop)."""
    graph = program.graph
    lives = lifetimes(graph, program.schedule, keep_inputs=keep_inputs)
    rows = []
    for index, (arena, offset) in sorted(program.places, key=lambda place: (place[1], place[0])):
        tensor, life = graph.tensors[index], lives.get(index)
        rows.append(
            {
                "name": tensor.name,
                "dtype": tensor.dtype.label,
                "shape": list(tensor.shape),
                "bytes": tensor.nbytes,
                "arena": program.arenas[arena].name,
                "offset": offset,
                "start": 0 if life is None else life.start,
                "stop": len(program.schedule.order) if life is None else life.stop,
            }
        )
    return rows


def _steps(program: Program) -> list[dict[str, Any]]:
    """An operator's multiply-accumulates are shared evenly by its steps."""
    graph = program.graph
    parts: dict[int, int] = {}
    for step in program.steps:
        parts[step.op] = parts.get(step.op, 0) + 1
    done: dict[int, int] = {}
    rows = []
    for number, step in enumerate(program.steps):
        op = graph.ops[step.op]
        macs, nth = op.attrs.macs(graph.operands(op), graph.results(op)), done.get(step.op, 0)
        done[step.op] = nth + 1
        share = macs * (nth + 1) // parts[step.op] - macs * nth // parts[step.op]
        rows.append({"index": number, "op": op.kind, "name": op.name, "macs": share, **_bytes_of(step)})
    return rows


def _bytes_of(step: Step) -> dict[str, Any]:
    call = step.call
    read = [access for access in step.reads if access.arena != FLASH]
    return {
        "kernel": call.kernel,
        "read_bytes": sum(access.view.nbytes for access in read),
        "write_bytes": sum(access.view.nbytes for access in step.writes),
        "weight_bytes": sum(len(data.data) for data in call.constants)
        + sum(access.view.nbytes for access in step.reads if access.arena == FLASH),
        "scratch_bytes": call.scratch,
        "scratch_arena": None if step.scratch is None else step.scratch[0],
        "scratch_offset": None if step.scratch is None else step.scratch[1],
    }


def _selection(program: Program) -> dict[str, Any]:
    """Which operators got which kernels, and how many instructions these were taken to execute."""
    found = program.selection
    if found is None:
        return {"instructions": None, "instructions_from": None, "selection": []}
    labels = [op.label for op in program.graph.ops]
    parts = [
        {
            "operators": [labels[op] for op in part.ops],
            "kernels": list(part.kernels),
            "work_space_bytes": part.work_space,
            "instructions": part.instructions,
        }
        for part in found.parts
    ]
    return {
        "instructions": sum(part.instructions for part in found.parts),
        "instructions_from": f"counted on {found.machine}" if found.machine else f"estimated for {found.core}",
        "selection": parts,
    }


def _weights(program: Program) -> list[dict[str, Any]]:
    return [
        {"symbol": c.symbol, "bytes": len(c.data), "type": c.ctype, "what": c.what}
        for c in constants_of(program).values()
    ]


def _host_sources(program: Program, package: Package) -> list[str]:
    """What must be compiled to run the network with an arena of one's own."""
    return [f"{SOURCE_FOLDER[package]}{program.name}{part}.c" for part in ("", "_weights")]


def _port(port: Port) -> dict[str, Any]:
    """An input or output; one that passes row by row is nowhere in the arena."""
    return asdict(port) | {"row_bytes": port.row_bytes}


def _readme(described: Mapping[str, Any], words: Mapping[str, str], tested: bool) -> str:
    rows = (
        ("RAM: arena + statics + stack", described["ram_bytes"]),
        ("arena", described["arena_bytes"]),
        ("stack, at most", described["stack_bytes"]),
        ("flash: code + constants", described["flash_bytes"]),
        ("constants", described["constant_bytes"]),
    )
    sizes = [f"| {what} | {'not measured' if size is None else f'{size:,} bytes'} |" for what, size in rows]
    folder = SOURCE_FOLDER[described["package"]]
    selftest = f"| `{folder}{words['name']}_selftest.c` | known inputs and the outputs that they must give |\n"
    return _template("bundle.md").substitute(
        {**words, "inference": dedent(words["inference"])},
        model=plain(described["model"]["name"]),
        version=described["thimble"],
        target=described["target"],
        kernels=described["kernels"],
        rung=described["rung"],
        sizes="\n".join([*sizes, f"| multiply-accumulates | {described['macs']:,} |"]),
        sources=folder,
        startup="" if described["layout"] is None else f"{words['name']}_startup();\n",
        selftest=selftest if tested else "",
        usage=usage(described["package"], words["name"], tested=tested),
        **{f"{kind}_line": _port_line(described, words, kind) for kind in ("input", "output")},
    )


def _port_line(described: Mapping[str, Any], words: Mapping[str, str], kind: str) -> str:
    name, arena = words["name"], f"{words['name']}_arena"
    if not described[f"{kind}s"]:
        return f"/* it has no {kind}s */\n"
    whole = next((index for index, port in enumerate(described[f"{kind}s"]) if not port["rows"]), None)
    if whole is None:
        return ""
    if kind == "input":
        return f"memcpy({name}_input_{whole}({arena}), my_input, {words['NAME']}_INPUT_{whole}_BYTES);\n"
    return f"const void *result = {name}_output_{whole}({arena});\n"


def plain(text: str) -> str:
    """Text from a model file without anything that Markdown, YAML or a shell would take for its own."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " _.,:;/+-") else "_" for c in text[:120]) or "_"


def _template(name: str) -> Template:
    return Template((resources.files("thimble") / "templates" / name).read_text(encoding="utf-8"))


class Written(msgspec.Struct, frozen=True):
    """The fields of a manifest that running the bundle needs."""

    format: int
    thimble: str
    name: str
    arena_bytes: int
    macs: int
    rung: int
    kernels: str
    target: str
    sources: tuple[str, ...]
    files: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    flags: tuple[str, ...] = FLAGS[0]
    arenas: tuple[ArenaBlock, ...] = ()
    layout: Layout | None = None

    @property
    def interface(self) -> Interface:
        several = tuple(arena.size for arena in self.arenas) if len(self.arenas) > 1 else ()
        return Interface(self.name, self.arena_bytes, self.inputs, self.outputs, several)


def read_manifest(folder: Path) -> Written:
    """The manifest of a bundle on disk, checked.

    Raises:
        OptionError: it is not there, or not what Thimble writes.
    """
    path = folder / MANIFEST
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Written)
    except OSError as error:
        raise OptionError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: is not a manifest of Thimble's: {error}") from None
    if found.format != FORMAT:
        raise OptionError(f"{path}: format {found.format} is not known to this version, which writes {FORMAT}")
    if found.flags not in FLAGS:
        raise OptionError(f"{path}: flags {' '.join(found.flags)} are not known to this version")
    if not found.name.isidentifier() or not all(_inside(folder, name) for name in (*found.sources, *found.files)):
        raise OptionError(f"{path}: names files outside of the bundle")
    for port in (*found.inputs, *found.outputs):
        if not _sound(port, found.interface.arenas or (found.arena_bytes,)):
            raise OptionError(f"{path}: '{port.name}' is not in the arena")
    if found.layout is not None and not _sound_layout(found.layout):
        raise OptionError(f"{path}: its memories and sections are not what Thimble writes")
    return found


def stored_sources(folder: Path, written: Written) -> dict[str, str]:
    """The C files of a bundle on disk, as `emit` names them.

    Raises:
        OptionError: one cannot be read.
    """
    prefix = written.sources[0].rpartition("/")[0] if written.sources else ""
    start = f"{prefix}/" if prefix else ""
    names = [name for name in written.files if name.startswith(start) and name.endswith((".c", ".h"))]
    try:
        return {name.removeprefix(start): (folder / name).read_text(encoding="utf-8") for name in names}
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{folder}: the bundle is not complete: {error}") from None


def _sound_layout(layout: Layout) -> bool:
    """Whether a linker's script can be made of it."""
    known = {memory.name for memory in layout.memories}
    used = {name for section in layout.sections for name in (section.memory, section.home) if name} | {layout.stack}
    names = [*known, *(section.symbol for section in layout.sections)]
    return used <= known and all(name.isidentifier() and name.isascii() for name in names)


def _sound(port: Port, arenas: tuple[int, ...]) -> bool:
    known = port.dtype in NUMPY_NAMES and all(size >= 0 for size in port.shape)
    if not known or port.symbol or not port.nbytes:
        return known
    if port.rows:
        return len(port.shape) == 4 and port.rows == port.shape[1]
    return 0 <= port.arena < len(arenas) and 0 <= port.offset <= arenas[port.arena] - port.nbytes


def _inside(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())


def owned_files(folder: Path) -> frozenset[str] | None:
    """The files of an earlier bundle in a folder, by path within it; None if there is no bundle."""
    try:
        return frozenset(read_manifest(folder).files)
    except OptionError:
        return None
