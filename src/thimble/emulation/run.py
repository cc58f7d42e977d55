# SPDX-License-Identifier: Apache-2.0
"""Run firmware in an emulator and read what it recorded. The recorders are compiled once, into the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path

from thimble.emulation.build import STEP_PREFIX, Firmware
from thimble.emulation.machines import Machine
from thimble.emulation.toolchain import checked, emulator
from thimble.errors import InternalError, OptionError
from thimble.host import host_compiler

NOTHING, INIT, INVOKE, RESUME, STEP = 0, 1, 2, 3, 4
"""Numbers of segments: outside, init, invoke before its first step, the same after a pause, and step k as STEP + k."""
AVR_LIMIT = 20_000_000_000  # instructions; a fuse
_SOURCES = ("trace.h", "qemu_plugin.h", "qemu_trace.c", "avr_runner.c")


@dataclass(frozen=True, slots=True)
class Window:
    """Accesses to some memory: how many, how many different bytes, and between which addresses [low, high)."""

    loads: int
    stores: int
    bytes_read: int
    bytes_written: int
    read: tuple[int, int]
    written: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Outside:
    """Accesses to memory that is none of the bundle's: how many, and the first."""

    count: int
    address: int
    pc: int
    write: bool


@dataclass(frozen=True, slots=True)
class Accesses:
    """Words of four bytes that were read and written, counted once for each instruction that accesses some of one.

    `constants` are weights, parameters and tables; `code` what instructions keep beside them; `other` what else the
    bundle and the C library have.
    """

    arena_reads: int = 0
    arena_writes: int = 0
    constants: int = 0
    code: int = 0
    stack: int = 0
    other: int = 0

    def __add__(self, more: Accesses) -> Accesses:
        return Accesses(*(getattr(self, f.name) + getattr(more, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Trace:
    """What the emulator recorded; segments as (number, instructions, cycles), each with its accesses."""

    segments: tuple[tuple[int, int, int], ...]
    accesses: tuple[Accesses, ...]
    words: tuple[dict[str, int], ...]  # the same by window
    windows: dict[str, Window]
    outside: Outside


def run(folder: Path, firmware: Firmware, machine: Machine, inputs: bytes, *, memory: bool, seconds: float) -> Trace:
    """Run firmware in its folder, which gets `outputs.bin`.

    Raises:
        OptionError: the emulator is missing, has no plug-ins, or takes longer than `seconds`.
        InternalError: the generated code ends with a fault; the message says where.
    """
    (folder / "inputs.bin").write_bytes(inputs)
    (folder / "trace.txt").write_text("".join(f"{line}\n" for line in _plan(firmware)), encoding="utf-8")
    command = _avr(firmware) if machine.isa == "avr" else _qemu(firmware, machine, memory)
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise OptionError(f"the emulator of {machine.name} does not end within {seconds:g} seconds") from error
    if not (folder / "report.txt").is_file():
        raise OptionError(f"{Path(command[0]).name} does not start: {done.stderr.strip()[:2000]}")
    trace = _report(folder / "report.txt")
    if done.returncode:
        raise InternalError(_failure(done, firmware, machine, trace))
    return trace


def _plan(firmware: Firmware) -> Iterator[str]:
    """What to record: the memory that the bundle may use, and where segments begin."""
    for name, (address, size) in firmware.image.sections.items():
        if name.startswith((".model_", ".library_")) or name in (".data", ".tdata", ".tbss", ".harness_main"):
            writable = not name.endswith(("_text", "_rodata", "_weights", "_main"))
            yield f"window {name} {address} {address + size} {int(writable)}"
    yield f"window stack {firmware.stack[0]} {firmware.stack[1]} 1"
    marks = {"init": INIT, "init_end": NOTHING, "invoke": INVOKE, "invoke_end": NOTHING}
    marks |= {"resume": RESUME, "resume_end": NOTHING}
    for name, segment in marks.items():
        if f"thimble_mark_{name}" in firmware.image.symbols:
            yield f"mark {firmware.image.symbols[f'thimble_mark_{name}']} {segment}"
    for address, step in steps_of(firmware):
        yield f"mark {address} {STEP + step}"


def steps_of(firmware: Firmware) -> tuple[tuple[int, int], ...]:
    """Where the steps begin, of a build that counts per step: (address, number)."""
    found = ((address, re.match(rf"{STEP_PREFIX}(\d+)_", name)) for name, address in firmware.image.symbols.items())
    return tuple((address, int(match[1])) for address, match in found if match)


def _qemu(firmware: Firmware, machine: Machine, memory: bool) -> list[str]:
    qemu = emulator(machine.isa)
    plugin = str(_recorder("qemu_trace.c", _plugin_version(qemu))).replace(",", ",,")
    board = ["-M", "virt", "-bios", "none"] if machine.isa == "riscv" else ["-M", machine.name]
    quiet = ["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"]
    return [qemu, *board, *quiet, "-plugin", plugin + ("" if memory else ",memory=off"), "-kernel", firmware.elf.name]


def _avr(firmware: Firmware) -> list[str]:
    symbols = firmware.image.symbols
    request = [hex(symbols["host_request_now"]), hex(symbols["host_request"])]
    return [str(_recorder("avr_runner.c", 0)), "atmega2560", *request, str(AVR_LIMIT)]


def _plugin_version(qemu: str) -> int:
    """The version of the plug-in interface to ask for; QEMU 9 and later refuse the first."""
    text = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)", text)
    return 2 if found and int(found[1]) >= 9 else 1


def _recorder(source: str, version: int) -> Path:
    """A recorder, compiled by the host's compiler unless the cache has it.

    Raises:
        OptionError: it cannot be compiled; the message says what to install.
    """
    package = resources.files("thimble") / "emulator"
    texts = {name: (package / name).read_bytes() for name in _SOURCES}
    cc = host_compiler()
    key = hashlib.sha256(repr((sorted(texts.items()), source, version, cc, sys.platform)).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thimble"
    made = cache / f"{Path(source).stem}-{key}"
    if made.is_file():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{made.name}.{os.getpid()}"
    kind = ["-lsimavr"] if source == "avr_runner.c" else ["-shared", "-fPIC", f"-DTHIMBLE_PLUGIN_VERSION={version}"]
    with resources.as_file(package) as folder:
        if source == "avr_runner.c" and not _has_simavr(cc, folder):
            raise OptionError("simavr is not installed; on Debian and Ubuntu: apt-get install libsimavr-dev libelf-dev")
        checked([*cc, "-O2", source, "-o", str(unfinished), *kind], folder, f"{cc[0]} refuses {source}")
    unfinished.replace(made)  # whole or not at all, whoever else does the same
    return made


def _has_simavr(cc: tuple[str, ...], folder: Path) -> bool:
    command = [*cc, "-E", "-include", "simavr/sim_avr.h", "trace.h"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def _report(path: Path) -> Trace:
    segments: list[tuple[int, int, int]] = []
    accesses: list[Accesses] = []
    words: list[dict[str, int]] = []
    windows: dict[str, Window] = {}
    outside = Outside(0, 0, 0, False)
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *rest = line.split()
        if word == "window":
            n = [int(value) for value in rest[1:]]
            windows[rest[0]] = Window(n[0], n[1], n[2], n[3], (n[4], n[5]), (n[6], n[7]))
        elif word == "segment":
            segment, instructions, cycles = map(int, rest)
            segments.append((segment, instructions, cycles))
            accesses.append(Accesses())
            words.append({})
        elif word == "words":
            accesses[-1] += _accesses(rest[0], int(rest[1]), int(rest[2]))
            words[-1][rest[0]] = int(rest[1]) + int(rest[2])
        elif word == "outside":
            count, address, pc, write = map(int, rest)
            outside = Outside(count, address, pc, bool(write))
    return Trace(tuple(segments), tuple(accesses), tuple(words), windows, outside)


def _accesses(window: str, reads: int, writes: int) -> Accesses:
    """What a line about a window counts as."""
    kind = window.rpartition("_")[2] if window.startswith(".model_") else window
    if kind == "arena":
        return Accesses(arena_reads=reads, arena_writes=writes)
    kinds = {"stack": "stack", "weights": "constants", "rodata": "constants", "text": "code"}
    return Accesses(**{kinds.get(kind, "other"): reads + writes})


def _failure(done: subprocess.CompletedProcess[str], firmware: Firmware, machine: Machine, trace: Trace) -> str:
    text = done.stdout + done.stderr
    fault = re.search(r"fault (0x[0-9a-f]+) (0x[0-9a-f]+) (0x[0-9a-f]+)", text)
    message = f"the generated code fails on {machine.name}: "
    if fault:
        kind, pc, address = (int(value, 16) for value in fault.groups())
        message += f"fault {kind} in {firmware.image.where(pc)} at {pc:#x}, address {address:#x}"
    else:
        message += f"exit code {done.returncode}: {text.strip()[:2000] or 'no message'}"
    if trace.outside.count:
        first = trace.outside
        verb = "writes" if first.write else "reads"
        message += f"; before that {firmware.image.where(first.pc)} {verb} {first.address:#x}, which is not its own"
    return message
