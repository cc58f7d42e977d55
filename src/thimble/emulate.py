# SPDX-License-Identifier: Apache-2.0
"""Run a compiled program on an emulated microcontroller, and measure it.

Program ─emit→ C ─build→ firmware ─run→ outputs and a trace ─→ Measurement

Instructions are exact and the same on every run; the emulated processors have no cycles, but for the AVR. Every access
of the bundle's code is held against the memory that is its own: arena, constants, and stack.
"""

from __future__ import annotations

import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thimble.emit import emit
from thimble.emulation.build import Bundle, Firmware, build, sizes
from thimble.emulation.elf import Footprint
from thimble.emulation.machines import AVR_DATA, MACHINES, Machine, machine_for, machine_named
from thimble.emulation.run import INIT, INVOKE, STEP, Accesses, Outside, Trace, Window, run, steps_of
from thimble.errors import InternalError, OptionError
from thimble.host import Interface, interface_of
from thimble.ir import Array
from thimble.program import Program


@dataclass(frozen=True, slots=True)
class Inference:
    """One call of `invoke`: instructions, cycles where the emulator has them, and instructions per step if asked for.

    `steps[k]` is what was executed from before step k to before the next one. The call itself counts: a few
    instructions. `accesses` are those of the call, `step_accesses` those of each step. `memory_words` are, of a placed
    program, the words accessed per memory of the board, and `step_memory_words` those of each step.
    """

    instructions: int
    cycles: int | None
    steps: tuple[int, ...] = ()
    accesses: Accesses = field(default_factory=Accesses)
    step_accesses: tuple[Accesses, ...] = ()
    memory_words: Mapping[str, int] = field(default_factory=dict)
    step_memory_words: tuple[Mapping[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the emulator saw of `init` and all inferences.

    Attributes:
        machine: its name.
        outputs: per inference.
        inferences: one per input.
        init_instructions: of `init`.
        stack_bytes: the most that was in use, from the caller's stack pointer to the lowest byte touched.
        stack_bound: what the compiler's figures say it can be at most; None where the compiler gives none.
        arena: what was touched of the arena, in bytes from its start.
        outside_accesses: accesses to memory that is neither arena, nor constants, nor stack, nor the C library's.
        first_outside: the first of them for a reader, "" if there is none.
        footprint: sizes in the linked firmware.
    """

    machine: str
    outputs: tuple[tuple[Array, ...], ...] = field(compare=False)
    inferences: tuple[Inference, ...]
    init_instructions: int
    stack_bytes: int
    stack_bound: int | None
    arena: Window
    outside_accesses: int
    first_outside: str
    footprint: Footprint

    @property
    def instructions(self) -> int:
        """Instructions of the first inference."""
        return self.inferences[0].instructions

    @property
    def cycles(self) -> int | None:
        """Cycles of the first inference, where the emulator has them."""
        return self.inferences[0].cycles

    @property
    def steps(self) -> tuple[int, ...]:
        """Instructions per step of the first inference, if they were asked for."""
        return self.inferences[0].steps

    @property
    def accesses(self) -> Accesses:
        """Words that the first inference read and wrote, by memory, if accesses were recorded."""
        return self.inferences[0].accesses

    @property
    def step_accesses(self) -> tuple[Accesses, ...]:
        """The same per step, if asked for."""
        return self.inferences[0].step_accesses


def emulate(
    program: Program,
    inputs: Sequence[tuple[Array, ...]],
    machine: str,
    *,
    flags: Sequence[str] = ("-O2",),
    per_step: bool = False,
    compiler: str | None = None,
    memory: bool = True,
    seconds: float = 600,
) -> Measurement:
    """Run a program on several inputs one after another, and measure it; see `emulate_bundle`."""
    return emulate_bundle(
        bundle_of(program),
        inputs,
        machine,
        flags=flags,
        per_step=per_step,
        compiler=compiler,
        memory=memory,
        seconds=seconds,
    )


def emulate_bundle(
    bundle: Bundle,
    inputs: Sequence[tuple[Array, ...]],
    machine: str,
    *,
    flags: Sequence[str] = ("-O2",),
    per_step: bool = False,
    compiler: str | None = None,
    memory: bool = True,
    seconds: float = 600,
) -> Measurement:
    """Run generated code on several inputs one after another, and measure it.

    Args:
        bundle: what to run.
        inputs: arrays of the shapes and types of the model's inputs, per inference; at least one inference.
        machine: a name in `MACHINES`.
        flags: of the cross compiler, for the generated code.
        per_step: count instructions per step as well.
        compiler: "zig" for the clang of PyPI's `ziglang` on Cortex-M; GCC without it.
        memory: record accesses; without it stack, arena and outside accesses are 0 but for the AVR's, and QEMU is
            several times faster.
        seconds: a fuse.

    Raises:
        OptionError: no such machine, a tool is not installed, the inputs are not the model's, or it does not fit.
        InternalError: the generated code faults.
    """
    chosen = machine_named(machine)
    data = _input_bytes(bundle.interface, inputs)
    with tempfile.TemporaryDirectory(prefix="thimble-") as name:
        folder = Path(name)
        firmware = build(folder, bundle, chosen, flags=flags, compiler=compiler, hooks=per_step)
        trace = run(folder, firmware, chosen, data, memory=memory, seconds=seconds)
        raw = (folder / "outputs.bin").read_bytes()
    return Measurement(
        machine=machine,
        outputs=tuple(_outputs(bundle.interface, raw[4:], len(inputs))),
        inferences=_inferences(trace, firmware, chosen),
        init_instructions=sum(instructions for segment, instructions, _ in trace.segments if segment == INIT),
        stack_bytes=_stack_bytes(trace, struct.unpack_from("<I", raw)[0], chosen),
        stack_bound=firmware.stack_bound,
        arena=_arena(trace, firmware),
        outside_accesses=trace.outside.count,
        first_outside=_first(trace.outside, firmware),
        footprint=firmware.footprint,
    )


def predict(
    program: Program, target: str, *, flags: Sequence[str] = ("-O2",), compiler: str | None = None
) -> tuple[Footprint, int | None]:
    """What a program takes of any firmware for a processor: its sizes, and the most stack that it needs.

    Args:
        program: what is to be compiled.
        target: a processor among `thimble.target.TARGETS` for which there is an emulated machine.
        flags: of the cross compiler.
        compiler: as for `emulate_bundle`.

    Raises:
        OptionError: no machine has this processor, or no compiler for it is installed.
    """
    with tempfile.TemporaryDirectory(prefix="thimble-") as name:
        return sizes(Path(name), bundle_of(program), machine_for(target), flags=flags, compiler=compiler)


def bundle_of(program: Program) -> Bundle:
    """The files of a program, and how they are called."""
    return Bundle(interface_of(program), emit(program), program.layout)


def _input_bytes(interface: Interface, inputs: Sequence[tuple[Array, ...]]) -> bytes:
    """inputs.bin of the harness."""
    if not inputs:
        raise OptionError("nothing to run: no inputs were given")
    parts = [struct.pack("<I", len(inputs))]
    for values in inputs:
        if len(values) != len(interface.inputs):
            raise OptionError(f"the model has {len(interface.inputs)} inputs, {len(values)} were given")
        for port, array in sorted(zip(interface.inputs, values, strict=True), key=lambda pair: pair[0].rows > 0):
            if array.shape != port.shape or array.dtype != np.dtype(port.dtype):
                raise OptionError(f"input '{port.name}' is {port}, not {array.dtype}{list(array.shape)}")
            parts.append(np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def _outputs(interface: Interface, data: bytes, count: int) -> Iterator[tuple[Array, ...]]:
    """The outputs of every inference; outputs.bin has one that passes row by row first."""
    stored = sorted(enumerate(interface.outputs), key=lambda pair: pair[1].rows == 0)
    at = 0
    for _ in range(count):
        arrays: dict[int, Array] = {}
        for index, port in stored:
            part = (
                np.frombuffer(data, np.dtype(port.dtype), port.elements, at)
                if port.elements
                else np.empty(0, port.dtype)
            )
            arrays[index] = part.reshape(port.shape)
            at += port.nbytes
        yield tuple(arrays[index] for index in range(len(arrays)))


def _inferences(trace: Trace, firmware: Firmware, machine: Machine) -> tuple[Inference, ...]:
    steps = 1 + max((step for _, step in steps_of(firmware)), default=-1)
    found: list[_Counts] = []
    for (segment, instructions, cycles), accesses, words in zip(
        trace.segments, trace.accesses, trace.words, strict=True
    ):
        memories: Counter[str] = Counter()
        for window, count in words.items() if firmware.memories else ():
            memories[firmware.memories.get(window, window)] += count
        if segment == INVOKE:
            found.append(_Counts([0] * steps, [Accesses()] * steps, [Counter() for _ in range(steps)]))
        elif segment >= STEP:
            found[-1].steps[segment - STEP] += instructions
            found[-1].step_accesses[segment - STEP] += accesses
            found[-1].step_memories[segment - STEP] += memories
        if segment >= INVOKE:
            found[-1].instructions += instructions
            found[-1].cycles += cycles
            found[-1].accesses += accesses
            found[-1].memories += memories
    if not found:
        raise InternalError("the emulator recorded no inference")
    avr = machine.isa == "avr"
    return tuple(
        Inference(
            f.instructions,
            f.cycles if avr else None,
            tuple(f.steps),
            f.accesses,
            tuple(f.step_accesses),
            dict(f.memories),
            tuple(map(dict, f.step_memories)),
        )
        for f in found
    )


@dataclass(slots=True)
class _Counts:
    """An inference being read."""

    steps: list[int]
    step_accesses: list[Accesses]
    step_memories: list[Counter[str]]
    instructions: int = 0
    cycles: int = 0
    accesses: Accesses = field(default_factory=Accesses)
    memories: Counter[str] = field(default_factory=Counter)


def _stack_bytes(trace: Trace, pointer: int, machine: Machine) -> int:
    """From the caller's stack pointer down to the lowest byte touched; an AVR's points to the first free byte."""
    if machine.isa == "avr":
        pointer += AVR_DATA + 1
    window = trace.windows["stack"]
    touched = [low for low, high in (window.read, window.written) if high]
    return pointer - min(touched) if touched else 0


def _arena(trace: Trace, firmware: Firmware) -> Window:
    """All arenas together, with extents from where each begins."""
    found = Window(0, 0, 0, 0, (0, 0), (0, 0))
    for name, window in trace.windows.items():
        if not (name.startswith(".model_") and name.endswith("_arena")):
            continue
        start = firmware.image.sections[name][0]
        found = Window(
            found.loads + window.loads,
            found.stores + window.stores,
            found.bytes_read + window.bytes_read,
            found.bytes_written + window.bytes_written,
            _joined(found.read, window.read, start),
            _joined(found.written, window.written, start),
        )
    return found


def _joined(known: tuple[int, int], extent: tuple[int, int], start: int) -> tuple[int, int]:
    if not extent[1]:
        return known
    low, high = extent[0] - start, extent[1] - start
    return (min(known[0], low), max(known[1], high)) if known[1] else (low, high)


def _first(outside: Outside, firmware: Firmware) -> str:
    if not outside.count:
        return ""
    verb = "writes" if outside.write else "reads"
    return f"{firmware.image.where(outside.pc)} at {outside.pc:#x} {verb} {outside.address:#x}"


__all__ = [
    "MACHINES",
    "Bundle",
    "Footprint",
    "Inference",
    "Measurement",
    "Window",
    "bundle_of",
    "emulate",
    "emulate_bundle",
    "predict",
]
