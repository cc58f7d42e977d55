# SPDX-License-Identifier: Apache-2.0
"""What TFLM's memory depends on besides the model: the processor's C types and the kernels in the build.

Source: AAPCS (IHI 0042) 6.4 and 7.1 for Arm; the psABI of RISC-V ilp32; avr-gcc and xtensa-gcc conventions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thimble.errors import OptionError


@dataclass(frozen=True, slots=True)
class Target:
    """A processor and a build of TFLM for it; sizes in bytes.

    `alignment` is the largest alignment that the compiler gives a scalar. `enum_bytes` is what a C enum of
    few values takes: 1 with `-fshort-enums`, which is the default of bare-metal Arm. `dsp` and `mve` name
    the flavour of CMSIS-NN: Armv7E-M packed arithmetic, and Helium. `wheel` marks TFLM as the PyPI package
    ships it: compression support, some wider structs, and the recording interpreter. `runs_tflm` is False
    where TFLM has no port, so that its figures are what the structs would take.
    """

    name: str
    pointer_bytes: int = 4
    kernels: Literal["reference", "cmsis-nn"] = "reference"
    dsp: bool = False
    mve: bool = False
    alignment: int = 8
    int_bytes: int = 4
    enum_bytes: int = 4
    double_bytes: int = 8
    arena_alignment: int = 16
    wheel: bool = False
    runs_tflm: bool = True


def _cortex_m(name: str, *, dsp: bool = False, mve: bool = False) -> Target:
    """Cortex-M with CMSIS-NN; cores without the DSP extension run its plain C flavour."""
    return Target(name, kernels="cmsis-nn", dsp=dsp, mve=mve, enum_bytes=1)


_ALL = (
    Target("host", pointer_bytes=8, wheel=True),
    Target("avr", pointer_bytes=2, alignment=1, int_bytes=2, enum_bytes=2, double_bytes=4, runs_tflm=False),
    _cortex_m("cortex-m0"),
    _cortex_m("cortex-m3"),
    _cortex_m("cortex-m4", dsp=True),
    _cortex_m("cortex-m7", dsp=True),
    _cortex_m("cortex-m33", dsp=True),
    _cortex_m("cortex-m55", dsp=True, mve=True),
    Target("riscv32"),
    Target("xtensa"),
    Target("npu", enum_bytes=1),  # the NPU's host is a Cortex-M; what the NPU does not take runs reference kernels
)

TARGETS: dict[str, Target] = {target.name: target for target in _ALL}


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        OptionError: no such target.
    """
    if name not in TARGETS:
        raise OptionError(f"no target named '{name}'; known: {', '.join(TARGETS)}")
    return TARGETS[name]
