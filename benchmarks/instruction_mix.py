# SPDX-License-Identifier: Apache-2.0
"""Which instructions each step of a compiled program executes on an emulated Cortex-M: counts by class."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from collections import Counter
from importlib import resources
from pathlib import Path

import numpy as np

from thimble.emulate import MACHINES, bundle_of
from thimble.emulation.build import Firmware, build
from thimble.emulation.run import steps_of
from thimble.emulation.toolchain import emulator
from thimble.host import host_compiler
from thimble.ir import Array
from thimble.program import Program
from thimble.target import target_named

CLASSES = {
    "multiply-accumulate": r"smla|smlsd|smuad|smul[bt]|smulw|mla|mls|mul$|muls$|vmla|vmlav|vmladava|vmull|vmul\.i",
    "load": r"ldr|ldm|ldrd|vldr|vld|pop|vpop|vldm",
    "store": r"str|stm|strd|vstr|vst|push|vpush|vstm",
    "widen and pack": r"sxt|uxt|pkh|ror|vmovl|vmovn|vrev|rev",
    "scale and clamp": r"smmul|smull|umull|umlal|ssat|usat|qadd|qdadd|vqrdmulh|vqdmulh|vrshl|vqrshl|vqmovn|vmax|vmin",
    "branch": r"b$|b\.|b(?:eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)|bl|bx|cb|le$|dls|wls|letp|it",
}
"""Beginnings of mnemonics; the first class that matches counts, everything else is "address, move, compare"."""
REST = "address, move, compare"
_INVOKE = 1
_STEP = 2


def class_of(mnemonic: str) -> str:
    """Which class an instruction belongs to."""
    word = mnemonic.removesuffix(".w").removesuffix(".n")
    return next((name for name, pattern in CLASSES.items() if re.match(pattern, word)), REST)


def instruction_mix(program: Program, inputs: tuple[Array, ...], machine: str) -> tuple[Counter[str], ...]:
    """Executed instructions by class, per step of one inference; `machine` is a Cortex-M."""
    with tempfile.TemporaryDirectory(prefix="thimble-") as name:
        folder = Path(name)
        firmware = build(folder, bundle_of(program), MACHINES[machine], hooks=True)
        data = b"".join(np.ascontiguousarray(array).tobytes() for array in inputs)
        (folder / "inputs.bin").write_bytes(struct.pack("<I", 1) + data)
        _run(folder, firmware, machine)
        mnemonics = _mnemonics(folder, firmware, machine)
        counts = [Counter[str]() for _ in program.steps]
        for line in (folder / "mix.txt").read_text(encoding="ascii").splitlines():
            segment, address, times = map(int, line.split())
            if segment >= _STEP:
                counts[segment - _STEP][class_of(mnemonics[address])] += times
    return tuple(counts)


def _run(folder: Path, firmware: Firmware, machine: str) -> None:
    symbols = firmware.image.symbols
    marks = [(symbols["thimble_mark_invoke"], _INVOKE), (symbols["thimble_mark_invoke_end"], 0)]
    marks += [(address, _STEP + step) for address, step in steps_of(firmware)]
    (folder / "trace.txt").write_text("".join(f"mark {address} {k}\n" for address, k in marks), encoding="ascii")
    qemu = emulator("arm")
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", said)
    number = 2 if version and int(version[1]) >= 9 else 1
    source = Path(__file__).with_name("instruction_mix.c")
    with resources.as_file(resources.files("thimble") / "emulator") as headers:
        flags = ["-O2", "-shared", "-fPIC", f"-DTHIMBLE_PLUGIN_VERSION={number}", "-I", str(headers)]
        subprocess.run([*host_compiler(), *flags, str(source), "-o", str(folder / "mix.so")], check=True)
    quiet = ["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"]
    command = [qemu, "-M", machine, *quiet, "-plugin", str(folder / "mix.so"), "-kernel", firmware.elf.name]
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _mnemonics(folder: Path, firmware: Firmware, machine: str) -> dict[int, str]:
    """The disassembly; Helium's instructions must be asked for."""
    objdump = shutil.which("arm-none-eabi-objdump") or "arm-none-eabi-objdump"
    helium = ["-marmv8.1-m.main"] if target_named(MACHINES[machine].target).mve else []
    command = [objdump, "-d", *helium, "--no-show-raw-insn", firmware.elf.name]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return {int(match[1], 16): match[2] for match in re.finditer(r"^\s*([0-9a-f]+):\s+(\S+)", text, re.MULTILINE)}
