# SPDX-License-Identifier: Apache-2.0
"""The whole ladder of compiled code: RAM against what it costs in multiply-accumulates, instructions and flash."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from thimble.climb import Built, build, compiler_for, linked
from thimble.compile import DEFAULT_MAX_MACS, HIGHEST_RUNG
from thimble.emulate import emulate
from thimble.errors import InternalError, OptionError
from thimble.host import interface_of
from thimble.inference import arrays_for
from thimble.ir import Array, Model
from thimble.kernel import Flavour
from thimble.ladder import Compiled, Rung
from thimble.target import Target
from thimble.watch import Watch, unwatched, within

LIMITS = (1.05, DEFAULT_MAX_MACS, 1.5)
"""Multiply-accumulates, relative to the model's, up to which points of the highest rung are planned."""


@dataclass(frozen=True, slots=True)
class Point:
    """A rung as C code; `instructions` of one inference where they were counted. `on_front`: nothing is better."""

    rung: Rung
    compiled: Compiled
    instructions: int | None = None
    on_front: bool = False
    unknown: str = ""

    @property
    def price(self) -> tuple[float, int]:
        """What the memory costs: extra multiply-accumulates, and instructions or, uncounted, the rung's number."""
        return self.rung.extra_macs_ratio, self.rung.rung if self.instructions is None else self.instructions


def most_macs(text: str) -> float:
    """`1.1x` or `1.1` as the most multiply-accumulates, relative to those of the model.

    Raises:
        OptionError: anything else, or less than one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*x?\s*", text.lower())
    if match is None or float(match[1]) < 1:
        raise OptionError(f"--max-macs: '{text}' is not a factor of at least 1; write 1.1x")
    return float(match[1])


def ladder(
    model: Model,
    core: Target,
    flavour: Flavour,
    *,
    max_macs: float | None = None,
    machine: str | None = None,
    keep_inputs: bool = False,
    watch: Watch = unwatched,
) -> tuple[Point, ...]:
    """Every rung as C code, in order; those on the Pareto front of memory and price are marked.

    Only rungs that need less memory than the cheaper ones are compiled and run; the front is then that of what was
    measured.

    Args:
        model: from `pipeline.load`.
        core: what the code is for; sizes are as linked for it, if its compiler is installed.
        flavour: of the kernels.
        max_macs: leave out what executes more multiply-accumulates, relative to the model's.
        machine: an emulated machine that counts instructions, one inference per rung on the same made-up inputs.
        keep_inputs: the caller's inputs survive the inference.
        watch: is told about progress.

    Raises:
        UnsupportedOperatorError: an operator cannot be compiled.
        OptionError: the emulator or its compiler is not installed, or the code does not fit the machine.
        InternalError: two rungs return different outputs.
    """
    limits = sorted({limit for limit in LIMITS if max_macs is None or limit < max_macs} | {max_macs or LIMITS[-1]})
    plans = [*((number, DEFAULT_MAX_MACS) for number in range(HIGHEST_RUNG)), *((HIGHEST_RUNG, m) for m in limits)]
    parts = len(plans) + HIGHEST_RUNG + 1
    built: list[Built] = []
    for done, (number, limit) in enumerate(plans):
        inner = within(watch, done, parts, f"rung {number}")
        compiler = partial(compiler_for(core), max_macs=limit)
        one = build(model, number, flavour, keep_inputs=keep_inputs, compiler=compiler, watch=inner)
        if number < HIGHEST_RUNG or not built or one.rung != replace(built[-1].rung, seconds=one.rung.seconds):
            built.append(one)
    built = [one for one in built if max_macs is None or 1 + one.rung.extra_macs_ratio <= max_macs]
    planned = marked([Point(one.rung, one.compiled) for one in built])
    measured = []
    first: tuple[Array, ...] = ()
    for one, point in zip(built, planned, strict=True):
        if point.on_front:
            watch(len(plans) + one.rung.rung, parts, f"rung {one.rung.rung}: compiling")
            found, outputs = _measured(one, core, machine)
            first = first or outputs
            _check_same(first, outputs, one.rung.rung)
            measured.append(found)
    rest = [point for point in planned if not point.on_front]
    return tuple(sorted((*marked(measured), *rest), key=lambda point: point.rung.rung))


def marked(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points, those on the Pareto front of arena and price marked; of equal ones the lowest rung."""
    return tuple(replace(p, on_front=not any(_better(q, p) for q in points)) for p in points)


def _better(one: Point, other: Point) -> bool:
    """Whether `one` needs no more of anything and less of something; equals go by the rung."""
    mine = (one.rung.arena_bytes, *one.price)
    theirs = (other.rung.arena_bytes, *other.price)
    as_good = all(a <= b for a, b in zip(mine, theirs, strict=True))
    return as_good and (mine != theirs or one.rung.rung < other.rung.rung)


def _measured(built: Built, core: Target, machine: str | None) -> tuple[Point, tuple[Array, ...]]:
    """Sizes as linked; with a machine also the instructions of an inference, and its outputs."""
    built = linked(built, core)
    point = Point(built.rung, built.compiled, unknown=built.unknown.partition("\n")[0])
    if machine is None:
        return point, ()
    inputs = arrays_for(interface_of(built.program).inputs, ())
    measurement = emulate(built.program, [inputs], machine, memory=False)
    return replace(point, instructions=measurement.instructions), measurement.outputs[0]


def _check_same(first: tuple[Array, ...], outputs: tuple[Array, ...], number: int) -> None:
    if any(a.tobytes() != b.tobytes() for a, b in zip(first, outputs, strict=True)):
        raise InternalError(f"rung {number} returns other outputs than rung 0")
