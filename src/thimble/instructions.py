# SPDX-License-Identifier: Apache-2.0
"""How many instructions a kernel call takes on a core, and how often it reads and writes memory, without an emulator.

    instructions = sum of features x what one of each takes

Features count how often a kernel's loops run (`features/of_call.py`); what one takes was fitted to exact counts of the
emulator on layers of many shapes, per kernel and core, by `benchmarks/calibrate_kernels.py`. All is for GCC at -O2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec

from thimble.errors import OptionError
from thimble.features.of_call import features_of, rough_features
from thimble.kernel import KernelCall
from thimble.program import ByRow, Program, Step

Costs = Mapping[str, tuple[float, ...]]
"""Per feature: instructions, reads of constants, reads and writes of the arena, reads and writes of the stack."""

SAME_AS = {"cortex-m7": "cortex-m4", "cortex-m33": "cortex-m4"}
"""Cores for which GCC makes nearly the same code."""
UNKNOWN: Costs = {
    "calls": (20.0, 1.0, 0.0, 0.0, 4.0),
    "written": (20.0, 1.0, 0.0, 1.0, 1.0),
    "read": (4.0, 0.0, 1.0, 0.0, 0.0),
    "macs": (5.0, 1.0, 1.0, 0.0, 0.0),
}
"""For kernels that were not measured, as portable ones: to be chosen over none that was. Estimate."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a call takes.

    Attributes:
        instructions: executed.
        constant_reads: words read from weights and other constants: an access of one to four bytes counts once, one of
            more bytes once per word that it touches. Instructions and their literals are not counted.
        arena_reads, arena_writes: the same for the arena, work space included.
        measured: whether the kernel was calibrated on this core with calls that ran all these loops, or others of the
            same kind; else this is a rough estimate.
        stack: words of the stack that are read or written.
    """

    instructions: float
    constant_reads: float
    arena_reads: float
    arena_writes: float
    measured: bool
    stack: float = 0.0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.instructions + other.instructions,
            self.constant_reads + other.constant_reads,
            self.arena_reads + other.arena_reads,
            self.arena_writes + other.arena_writes,
            self.measured and other.measured,
            self.stack + other.stack,
        )

    def times(self, count: int) -> Traffic:
        """The same so many times."""
        return Traffic(
            self.instructions * count,
            self.constant_reads * count,
            self.arena_reads * count,
            self.arena_writes * count,
            self.measured,
            self.stack * count,
        )


NOTHING = Traffic(0.0, 0.0, 0.0, 0.0, True)


def traffic_of(call: KernelCall, core: str, *, by_row: bool = False) -> Traffic:
    """What one call takes on a core, all its batches; with `by_row` what it takes when each row is a call of its own.

    Raises:
        OptionError: there are no costs for that core.
    """
    costs = costs_of(core).get(call.kernel, {})
    features = features_of(call, by_row=by_row)
    if not costs:
        costs, features = UNKNOWN, rough_features(call)
    found, measured = [0.0] * 5, costs is not UNKNOWN
    for name, count in features.items():
        cost = _cost(costs, name)
        measured &= cost is not None
        for place, part in enumerate(cost or ()):
            found[place] += count * part
    return Traffic(found[0], found[1], found[2], found[3], measured, found[4])


def _cost(costs: Costs, name: str) -> tuple[float, ...] | None:
    """What one of a feature takes; of one that was not measured what the dearest of its kind takes, by its first words.

    Results that are clamped take about the same whether their sums are packed or not, for example.
    """
    kind = name
    while name not in costs and "_" in kind:
        kind = kind.rpartition("_")[0]
        alike = [cost for other, cost in costs.items() if other.startswith(f"{kind}_")]
        if alike:
            return max(alike)
    return costs.get(name)


def traffic_of_step(program: Program, step: Step, core: str) -> Traffic:
    """What a step takes in one inference."""
    if step.is_view:
        return NOTHING
    if step.by_row is not ByRow.POINTERS:
        return traffic_of(step.call, core, by_row=step.by_row is ByRow.KERNEL)
    rows = program.graph.results(program.graph.ops[step.op])[0].shape[1]
    return traffic_of(step.call, core).times(rows)


def traffic_of_program(program: Program, core: str) -> tuple[Traffic, ...]:
    """What each step takes in one inference."""
    return tuple(traffic_of_step(program, step, core) for step in program.steps)


@cache
def costs_of(core: str) -> Mapping[str, Costs]:
    """What one of each feature takes, by kernel.

    Raises:
        OptionError: no such core.
    """
    known = tables()
    name = SAME_AS.get(core, core)
    if name not in known:
        raise OptionError(f"no instruction counts for '{core}'; known: {', '.join([*known, *SAME_AS])}")
    return known[name]


@cache
def tables() -> dict[str, dict[str, Costs]]:
    """Costs by core and kernel, as `costs/kernels.json` has them."""
    text = (resources.files("thimble") / "costs" / "kernels.json").read_bytes()
    return msgspec.json.decode(text, type=_File).cores


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """`costs/kernels.json`: JSON, as it is long and read by every command."""

    source: str
    cores: dict[str, dict[str, Costs]]
