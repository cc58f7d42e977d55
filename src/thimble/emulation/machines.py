# SPDX-License-Identifier: Apache-2.0
"""The emulated microcontrollers: their memory, and how compilers and emulators call them.

Source: QEMU 7.2, hw/arm/{mps2,mps2-tz,nrf51_soc}.c and hw/riscv/virt.c; ATmega2560 data sheet (DS40002211), section 8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from thimble.errors import OptionError

KIB, MIB = 1 << 10, 1 << 20
AVR_DATA = 0x800000
"""Where linkers put the data addresses of AVRs, which have a flash address 0 too."""
Isa = Literal["arm", "riscv", "avr"]


@dataclass(frozen=True, slots=True)
class Memory:
    """Addresses [origin, origin + size)."""

    origin: int
    size: int


@dataclass(frozen=True, slots=True)
class Machine:
    """An emulated microcontroller.

    Attributes:
        target: its processor among `thimble.target.TARGETS`.
        flags: of GCC, for the processor.
        code: where code and small constants go; `ram` where data goes.
        big: a large memory for weights and arenas that do not fit in those; empty where there is none.
        clang: the processor as the clang of PyPI's `ziglang` calls it.
    """

    name: str
    isa: Isa
    target: str
    flags: tuple[str, ...]
    code: Memory
    ram: Memory
    big: Memory = Memory(0, 0)
    clang: tuple[str, ...] = ()


def _cortex(name: str, core: str, fpu: str, code: Memory, ram: Memory, big: Memory, features: str = "") -> Machine:
    """A Cortex-M. clang may assume unaligned accesses where gcc does not: it is told not to."""
    hard = ("-mfloat-abi=hard", *((f"-mfpu={fpu}",) if fpu != "auto" else ())) if fpu else ()
    cpu = core.replace("-", "_") + features + ("-strict_align" if core != "cortex-m0" else "")
    clang = ("-target", f"thumb-freestanding-eabi{'hf' if fpu else ''}", f"-mcpu={cpu}")
    return Machine(name, "arm", core, (f"-mcpu={core}", "-mthumb", *hard), code, ram, big, clang)


_MPS2 = (Memory(0, 4 * MIB), Memory(0x20000000, 4 * MIB))
_M0 = _cortex("microbit", "cortex-m0", "", Memory(0, 256 * KIB), Memory(0x20000000, 16 * KIB), Memory(0, 0))
_M3 = _cortex("mps2-an385", "cortex-m3", "", *_MPS2, Memory(0x21000000, 16 * MIB))
_ALL = (
    _M0,
    _M3,
    _cortex("mps2-an386", "cortex-m4", "fpv4-sp-d16", *_MPS2, Memory(0x21000000, 16 * MIB)),
    _cortex("mps2-an500", "cortex-m7", "fpv5-d16", *_MPS2, Memory(0x60000000, 16 * MIB)),
    _cortex(
        "mps2-an505",
        "cortex-m33",
        "fpv5-sp-d16",
        Memory(0x10000000, 4 * MIB),
        Memory(0x38000000, 4 * MIB),
        Memory(0x80000000, 16 * MIB),
    ),
    _cortex(
        "mps3-an547",
        "cortex-m55",
        "auto",
        Memory(0, 512 * KIB),
        Memory(0x30000000, 512 * KIB),
        Memory(0x60000000, 256 * MIB),
        "+mve_fp",
    ),
    Machine(
        "riscv32",
        "riscv",
        "riscv32",
        ("-march=rv32imac", "-mabi=ilp32"),
        Memory(0x80000000, 16 * MIB),
        Memory(0x81000000, 16 * MIB),
        Memory(0x82000000, 96 * MIB),
    ),
    Machine("atmega2560", "avr", "avr", ("-mmcu=atmega2560",), Memory(0, 256 * KIB), Memory(AVR_DATA + 0x200, 8 * KIB)),
)

MACHINES: dict[str, Machine] = {
    **{machine.name: machine for machine in _ALL},
    "cortex-m0": replace(_M3, target=_M0.target, flags=_M0.flags, clang=_M0.clang),
}
"""By name. `cortex-m0` is code for that core on the board of a Cortex-M3, for its memory: an M3 executes all
instructions of an M0, and a test holds their number against the M0's own board."""


def machine_named(name: str) -> Machine:
    """The machine of that name.

    Raises:
        OptionError: no such machine.
    """
    if name not in MACHINES:
        raise OptionError(f"no emulated machine named '{name}'; known: {', '.join(MACHINES)}")
    return MACHINES[name]


def machine_for(target: str) -> Machine:
    """A machine with the processor of a target, to compile for it.

    Raises:
        OptionError: no machine has it.
    """
    for machine in _ALL:
        if machine.target == target:
            return machine
    raise OptionError(f"no emulated machine has the processor {target}; there are {', '.join(m.target for m in _ALL)}")
