# SPDX-License-Identifier: Apache-2.0
"""Generated code and all kernels compile without a warning: GCC and clang, at all levels, for hosts and bare metal.

Clang is the one that PyPI's `ziglang` carries. Where a compiler is not installed, the skips say so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import pytest

from cmsis import include_flags, needs_cmsis_nn
from every_kernel import every_kernel
from test_emulate import TOOLS
from thimble import zoo
from thimble.compile import compile_model
from thimble.emit import emit, kernel_sources
from thimble.emulate import MACHINES
from thimble.emulation.toolchain import toolchain
from thimble.host import WARNINGS, host_compiler, write_files, zig_compiler
from thimble.kernel import Flavour
from thimble.pipeline import load
from thimble.program import Program

OWN = (Flavour.PORTABLE, Flavour.DSP, Flavour.MVE)
DEFINED = r"^THIMBLE_KERNEL void thimble_(\w+)\("
UNREACHED = {"average_pool_2d_u8", "max_pool_2d_u8", "reduce_max_u8", "softmax_u8", "sum_u8"}
"""For tensors that `rewrites/signed.py` changes to int8 wherever they are quantized."""
SHARED = "-DTHIMBLE_SHARE_KERNELS"
KERNELS = Path(str(resources.files("thimble"))) / "kernels"
LANGUAGE = ("-std=c11", *WARNINGS)
MACHINE_OF = {Flavour.PORTABLE: "riscv32", Flavour.DSP: "mps2-an386", Flavour.MVE: "mps3-an547"}


@cache
def network(name: str) -> Program:
    """The networks that are compiled in all ways."""
    if name == "demo":
        return compile_model(load("demo"), flavour=Flavour.DSP, name="net")
    if name == "lstm":
        return compile_model(zoo.build("lstm"), flavour=Flavour.PORTABLE, name="net")
    return compile_model(zoo.build("resnet_8", resolution=8), flavour=Flavour.MVE, name="net")


def compiled(folder: Path, program: Program, command: Sequence[str], *flags: str) -> None:
    """Compile all files of a bundle, and link nothing."""
    files = emit(program)
    write_files(folder, files)
    sources = [name for name in files if name.endswith(".c")]
    run(folder, [*command, *flags, "-c", *sources])


def run(folder: Path, command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[:3000]}"


def clang() -> tuple[str, ...]:
    command = zig_compiler()
    if not command:
        pytest.skip("NOTHING IS COMPILED BY CLANG: `pip install ziglang`")
    return command


def cross(machine: str, compiler: str | None = None) -> tuple[str, ...]:
    """The command for a machine's processor."""
    command = TOOLS[MACHINES[machine].isa][0]
    if not shutil.which(command):
        pytest.skip(f"NOTHING IS COMPILED FOR {machine.upper()}: {command} is not installed")
    if compiler == "zig":
        clang()
    return toolchain(MACHINES[machine], compiler).bundle


@pytest.mark.parametrize("shared", [(), (SHARED,)], ids=["special", "shared"])
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", ["demo", "lstm", "resnet"])
def test_networks_on_the_host(name: str, compiler: str, level: str, shared: tuple[str, ...], tmp_path: Path) -> None:
    command = clang() if compiler == "clang" else host_compiler()
    compiled(tmp_path, network(name), (*command, *LANGUAGE), level, *shared)


@pytest.mark.parametrize("flavour", OWN, ids=lambda f: f.value)
@pytest.mark.parametrize(
    ("compiler", "flags"),
    [("gcc", ("-O0",)), ("gcc", ("-O2",)), ("clang", ("-Os", SHARED))],
    ids=["gcc-O0", "gcc-O2", "clang-shared"],
)
def test_every_kernel_on_the_host(compiler: str, flags: tuple[str, ...], flavour: Flavour, tmp_path: Path) -> None:
    command = clang() if compiler == "clang" else host_compiler()
    compiled(tmp_path, every_kernel(flavour), (*command, *LANGUAGE), *flags)


@pytest.mark.emulator
@pytest.mark.parametrize("flavour", OWN, ids=lambda f: f.value)
@pytest.mark.parametrize(
    ("compiler", "flags"), [(None, ("-Os", SHARED)), ("zig", ("-O2",))], ids=["gcc-shared", "clang-special"]
)
def test_every_kernel_on_bare_metal(
    compiler: str | None, flags: tuple[str, ...], flavour: Flavour, tmp_path: Path
) -> None:
    machine = "mps2-an385" if compiler and flavour is Flavour.PORTABLE else MACHINE_OF[flavour]
    compiled(tmp_path, every_kernel(flavour), cross(machine, compiler), *flags)


@pytest.mark.emulator
def test_every_portable_kernel_on_16_bits(tmp_path: Path) -> None:
    """Where int has 16 bits and constants are in an address space of their own."""
    program = every_kernel(Flavour.PORTABLE)
    write_files(tmp_path, emit(program))  # the arena is larger than the memory: all but that
    run(tmp_path, [*cross("atmega2560"), "-Os", SHARED, "-c", f"{program.name}.c", f"{program.name}_weights.c"])


@needs_cmsis_nn
@pytest.mark.parametrize("flags", [("-O2",), ("-Os", SHARED)], ids=" ".join)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_calls_into_cmsis_nn(compiler: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    command = clang() if compiler == "clang" else host_compiler()
    compiled(tmp_path, every_kernel(Flavour.CMSIS_NN), (*command, *LANGUAGE, *include_flags()), *flags)


def test_no_kernel_is_left_out() -> None:
    """What the programs above call, and what no model reaches."""
    flavours = [*OWN, Flavour.CMSIS_NN, Flavour.CMSIS_NN_MVE]
    calls = [step.call for flavour in flavours for step in every_kernel(flavour).steps]
    headers = {path.name for path in KERNELS.glob("*.h")}
    assert set(kernel_sources(sorted({call.header for call in calls}))) == headers
    texts = (path.read_text(encoding="utf-8") for path in KERNELS.glob("*.h"))
    kernels = {name for text in texts for name in re.findall(DEFINED, text, re.MULTILINE)}
    assert kernels - {call.kernel for call in calls} == UNREACHED


@pytest.mark.parametrize("standard", ["c++98", "c++11", "c++20"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_headers_are_for_cpp_too(compiler: str, standard: str, tmp_path: Path) -> None:
    name = "c++" if compiler == "gcc" else "zig c++"
    command: tuple[str, ...] = (*clang()[:-1], "c++") if compiler == "clang" else ("c++",)
    if compiler == "gcc" and not shutil.which("c++"):
        pytest.skip(f"NO HEADER IS COMPILED AS C++: {name} is not installed")
    write_files(tmp_path, emit(network("lstm")))
    (tmp_path / "user.cpp").write_text(
        '#include "net.h"\n'
        "int main() { net_init(net_arena); net_invoke(net_arena); return net_output_0(net_arena)[0]; }\n"
    )
    run(tmp_path, [*command, f"-std={standard}", *WARNINGS, "-c", "user.cpp"])
