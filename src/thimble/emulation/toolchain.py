# SPDX-License-Identifier: Apache-2.0
"""Compilers and emulators on this computer: which commands, and what to install where they are missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thimble.emulation.machines import Isa, Machine
from thimble.errors import OptionError
from thimble.host import WARNINGS, zig_compiler

_GNU: dict[Isa, tuple[str, str]] = {
    "arm": ("arm-none-eabi-", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    "riscv": ("riscv64-unknown-elf-", "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"),
    "avr": ("avr-", "gcc-avr avr-libc"),
}
_EMULATORS: dict[Isa, tuple[str, str]] = {
    "arm": ("qemu-system-arm", "qemu-system-arm"),
    "riscv": ("qemu-system-riscv32", "qemu-system-misc"),
}
_LINKER_FLAGS: dict[Isa, tuple[str, ...]] = {
    "arm": ("-specs=nano.specs",),
    # Without relaxation the size of the code does not depend on where it is linked.
    "riscv": ("-specs=picolibc.specs", "-Wl,--no-relax"),
    "avr": (),
}
_LANGUAGE: dict[Isa, tuple[str, ...]] = {
    "arm": ("-std=c11", *WARNINGS),
    "riscv": ("-std=c11", *WARNINGS, "-specs=picolibc.specs"),
    # Flash is another address space there, which ISO C does not have.
    "avr": ("-std=gnu11", *(flag for flag in WARNINGS if flag != "-pedantic")),
}
SECTIONS = ("-ffunction-sections", "-fdata-sections")


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Commands for a machine: `bundle` compiles generated code, `harness` our own; `binutils` is a prefix."""

    bundle: tuple[str, ...]
    harness: tuple[str, ...]
    link: tuple[str, ...]
    binutils: str


def toolchain(machine: Machine, compiler: str | None = None) -> Toolchain:
    """The toolchain for a machine.

    Args:
        machine: what to compile for.
        compiler: "zig" for the clang of PyPI's `ziglang` on Cortex-M, a command in place of GCC's, or None for GCC.

    Raises:
        OptionError: it is not installed; the message says what to install.
    """
    prefix, packages = _GNU[machine.isa]
    gcc = _required(f"{prefix}gcc", packages)
    common = (*machine.flags, *SECTIONS)
    bundle: tuple[str, ...] = (compiler or gcc, *common, "-fstack-usage")
    if compiler == "zig":
        bundle = (*_zig(machine, gcc), *SECTIONS)
    return Toolchain(
        bundle=(*bundle, *_LANGUAGE[machine.isa]),
        harness=(gcc, *common, "-O1", *_LANGUAGE[machine.isa]),
        link=(gcc, *machine.flags, "-nostartfiles", "-Wl,--gc-sections", *_LINKER_FLAGS[machine.isa]),
        binutils=prefix,
    )


def _zig(machine: Machine, gcc: str) -> tuple[str, ...]:
    """Clang for the code alone: C library and linker are GNU's."""
    zig = zig_compiler()
    if not machine.clang:
        raise OptionError(f"{machine.name} cannot be compiled for by zig, only the Cortex-M machines can")
    if not zig:
        raise OptionError("zig is not installed: `pip install ziglang`")
    found = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=True)
    headers = Path(found.stdout.strip()).parent.parent / "include"
    return (*zig, *machine.clang, "-fshort-enums", "-fno-unwind-tables", "-fno-sanitize=all", "-isystem", str(headers))


def emulator(isa: Isa) -> str:
    """QEMU's command.

    Raises:
        OptionError: it is not installed; the message says what to install.
    """
    return _required(*_EMULATORS[isa])


def checked(command: Sequence[str], folder: Path, what: str) -> str:
    """Run a command of a toolchain; its output.

    Raises:
        OptionError: it fails; the message holds what it says.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OptionError(f"{what}:\n{(done.stderr or done.stdout).strip()[:4000]}")
    return done.stdout


def _required(command: str, packages: str) -> str:
    path = shutil.which(command)
    if path is None:
        raise OptionError(f"{command} is not installed; on Debian and Ubuntu: apt-get install {packages}")
    return path
