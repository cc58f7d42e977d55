# SPDX-License-Identifier: Apache-2.0
"""What an inference costs on a board: cycles, time and energy, per operator and in all.

    cycles = instructions x cycles per instruction of the core + accesses that miss x wait states of their memory
    energy = cycles x energy per cycle + bytes x energy per byte + leakage x time + sleep x rest of the period

Instructions and accesses come from `instructions.py` for programs that Thimble compiles, from `runtimes.py` for other
runtimes. What a memory's access takes, what is cached, and what a cycle takes stands in the board's file; figures that
no document gives are marked there, and `Cost.estimates` names all that were used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from thimble.board import Board, Figure, Region
from thimble.errors import OptionError
from thimble.instructions import Traffic, traffic_of_program
from thimble.ir import Graph, OpId
from thimble.program import FLASH, Program, Step
from thimble.runtimes import OURS, Core, core_named, runtime_named, runtime_work

WORD = 4
"""Bytes of an access as `Traffic` counts them."""
FETCH_BYTES = 2.6
"""Bytes per instruction of Thumb-2 code. Estimate: kernels' inner loops mix 2- and 4-byte instructions."""
CODE_BYTES = 500
"""Machine code of a step. Estimate: 240 to 570 for the models of MLPerf Tiny on a Cortex-M4."""
STACK_BYTES = 256
"""Estimate: 116 to 220 for most models on a Cortex-M4, and the caller's."""
CACHED_LINE = 32
"""Bytes of a cache line of the Cortex-M7 and M55. Source: Arm DDI 0489 and 101051, chapters on the memory system."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which region holds what, where each kind of thing is in one: names of the board's regions."""

    weights: str
    arena: str
    code: str
    stack: str


@dataclass(frozen=True, slots=True)
class Work:
    """What a step does, before it is known where its bytes are.

    Attributes:
        op: the operator.
        traffic: instructions and words read and written.
        constant_bytes: of its weights and other constants.
        arena_bytes: of its operands, results and work space.
    """

    op: OpId
    traffic: Traffic
    constant_bytes: int
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class Price:
    """Core cycles, those among them that wait for memory, and picojoules besides the core's."""

    cycles: float
    stalls: float = 0.0
    access: float = 0.0

    def __add__(self, other: Price) -> Price:
        return Price(self.cycles + other.cycles, self.stalls + other.stalls, self.access + other.access)


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """What one step takes: core cycles, those that wait for memory, nanojoules; `measured`: not a rough estimate."""

    op: OpId
    name: str
    cycles: float
    stall_cycles: float
    energy_nj: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What one inference takes on a board.

    Attributes:
        board, runtime: their names.
        layout: which memory holds what.
        operators: in the order of execution.
        clock_hz: of the core.
        access_uj, core_uj, leakage_uj: the energy's parts while it runs, in microjoules.
        sleep_uj: of the rest of the period, 0 without one.
        estimates: what was used of figures that no document gives.
    """

    board: str
    runtime: str
    layout: Layout
    operators: tuple[OperatorCost, ...]
    clock_hz: float
    core_uj: float
    access_uj: float
    leakage_uj: float
    sleep_uj: float
    estimates: tuple[str, ...]

    @property
    def cycles(self) -> float:
        return sum(op.cycles for op in self.operators)

    @property
    def latency_ms(self) -> float:
        return 1e3 * self.cycles / self.clock_hz

    @property
    def energy_uj(self) -> float:
        return self.core_uj + self.access_uj + self.leakage_uj + self.sleep_uj


def cost_of(
    program: Program,
    board: Board,
    *,
    runtime: str = OURS,
    layout: Layout | None = None,
    period: float | None = None,
    powered: Iterable[str] | None = None,
) -> Cost:
    """What one inference of a program takes on a board; of another runtime, what it takes for the same graph.

    Args:
        program: from `compile_model`, for the board's target.
        board: where it runs.
        runtime: one of `runtimes.runtime_names()`.
        layout: which memory holds what; `default_layout` without it.
        period: seconds from one inference to the next; the core sleeps in between.
        powered: regions that leak; all that the layout uses without it.

    Raises:
        OptionError: no such runtime or region, nothing is known about the runtime on that core, or the period is too
            short.
    """
    if runtime == OURS:
        place = layout or default_layout(board, program.arena_bytes)
        return _cost(program.graph, work_of(program, board), board, OURS, place, period, powered)
    return runtime_cost(program.graph, board, runtime, layout=layout, period=period, powered=powered)


def runtime_cost(
    graph: Graph,
    board: Board,
    runtime: str,
    *,
    layout: Layout | None = None,
    period: float | None = None,
    powered: Iterable[str] | None = None,
) -> Cost:
    """What one inference of a graph takes with a runtime other than Thimble's; see `cost_of`."""
    chosen = runtime_named(runtime)
    work = [Work(op.id, *runtime_work(graph, op, chosen, board.target)) for op in graph.ops]
    place = layout or default_layout(board, max((w.arena_bytes for w in work), default=0))
    return _cost(graph, work, board, runtime, place, period, powered)


def _cost(
    graph: Graph,
    work: Sequence[Work],
    board: Board,
    runtime: str,
    place: Layout,
    period: float | None,
    powered: Iterable[str] | None,
) -> Cost:
    """Price work under a layout."""
    core = core_named(board.target)
    regions = [region_named(board, name) for name in (place.weights, place.arena, place.code, place.stack)]
    prices = [_price(w, core, board, regions) for w in work]
    power = cycle_energy(board, core)
    operators = tuple(
        OperatorCost(
            w.op,
            graph.ops[w.op].name,
            p.cycles,
            p.stalls,
            (p.cycles * power.value + p.access) / 1e3,
            w.traffic.measured,
        )
        for w, p in zip(work, prices, strict=True)
    )
    total = sum(prices, Price(0.0))
    seconds = total.cycles / board.core.clock_hz.value
    on = [region_named(board, name) for name in dict.fromkeys(powered or [r.name for r in regions])]
    return Cost(
        board.name,
        runtime,
        place,
        operators,
        board.core.clock_hz.value,
        core_uj=total.cycles * power.value / 1e6,
        access_uj=total.access / 1e6,
        leakage_uj=sum(r.leakage.value for r in on if r.leakage) * seconds,
        sleep_uj=_sleep(board, on, seconds, period),
        estimates=_estimates(board, core, dict.fromkeys(r.name for r in regions), asleep=period is not None),
    )


def work_of(program: Program, board: Board) -> tuple[Work, ...]:
    """What each step of a program does on a board's core."""
    traffic = traffic_of_program(program, core_named(board.target).counts)
    return tuple(
        Work(step.op, t, _constant_bytes(step), _arena_bytes(step))
        for step, t in zip(program.steps, traffic, strict=True)
    )


def _constant_bytes(step: Step) -> int:
    return sum(len(data.data) for data in step.call.constants) + sum(
        a.view.nbytes for a in step.reads if a.arena == FLASH
    )


def _arena_bytes(step: Step) -> int:
    return step.call.scratch + sum(a.view.nbytes for a in (*step.reads, *step.writes) if a.arena != FLASH)


def default_layout(board: Board, arena_bytes: int = 0) -> Layout:
    """Where things are without a placement: constants and code in the storage, the rest in the fastest RAM."""
    ram = board.ram or tuple(r for r in board.regions if r.writable)
    roomy = [r for r in ram if r.bytes >= arena_bytes and r.kind != "itcm"] or [max(ram, key=lambda r: r.bytes)]
    arena = min(roomy, key=lambda r: (r.read_cycles.value if r.read_cycles else 1.0, r.address))
    storage = board.storage[0] if board.storage else arena
    return Layout(storage.name, arena.name, storage.name, arena.name)


def region_named(board: Board, name: str) -> Region:
    """A region of a board.

    Raises:
        OptionError: it has none of that name.
    """
    for region in board.regions:
        if region.name == name:
            return region
    raise OptionError(f"{board.name} has no region '{name}'; it has {', '.join(r.name for r in board.regions)}")


def _price(work: Work, core: Core, board: Board, regions: Sequence[Region]) -> Price:
    weights, arena, code, stack = regions
    t = work.traffic
    return (
        Price(t.instructions * core.cycles_per_instruction.value)
        + constants_price(board, weights, t.constant_reads, work.constant_bytes)
        + arena_price(board, arena, t.arena_reads, t.arena_writes, work.arena_bytes)
        + code_price(board, code, t.instructions)
        + arena_price(board, stack, t.stack / 2, t.stack / 2, STACK_BYTES)
    )


def constants_price(board: Board, region: Region, words: float, size: int) -> Price:
    """Reading constants of so many bytes: once per line if the cache holds them all, else each time they are used."""
    bytes_read = words * WORD
    cache, line = cache_of(board, region)
    missed = min(bytes_read, size) if size <= cache else bytes_read
    return _reads(region, missed / line, bytes_read)


def arena_price(board: Board, region: Region, reads: float, writes: float, size: int) -> Price:
    """Reading and writing activations of so many bytes: with a cache once per line, as kernels walk through them."""
    cache, line = cache_of(board, region)
    if cache:
        lines = min((reads + writes) * WORD, size) / line
        return _reads(region, lines, reads * WORD) + _writes(region, 0.0, writes * WORD)
    return _reads(region, reads * WORD / line, reads * WORD) + _writes(region, writes * WORD / line, writes * WORD)


def code_price(board: Board, region: Region, instructions: float) -> Price:
    """Fetching instructions: free where loops stay in a cache or the memory keeps up with the core."""
    cache, line = cache_of(board, region)
    fetched = instructions * FETCH_BYTES
    return _reads(region, 0.0 if cache else fetched / line, 0.0 if cache else fetched)


def cache_of(board: Board, region: Region) -> tuple[float, float]:
    """Bytes of the cache in front of a region, 0 without one, and bytes that one access brings in.

    What an access to an external memory takes is given per word of a cache line.
    """
    width = max(WORD, region.width_bits.value / 8) if region.width_bits else WORD
    if region.cache_bytes:
        return region.cache_bytes.value, region.line_bytes.value if region.line_bytes else width
    own = next((f for f in board.core.features if f.startswith("dcache")), "")
    if own and region.kind not in ("tcm", "itcm", "dtcm"):
        return float(own.removeprefix("dcache").removesuffix("k")) * 1024, WORD if region.external else CACHED_LINE
    return 0.0, region.line_bytes.value if region.line_bytes else width


def _reads(region: Region, accesses: float, nbytes: float) -> Price:
    return _accesses(region.read_cycles, region.read_energy, accesses, nbytes)


def _writes(region: Region, accesses: float, nbytes: float) -> Price:
    return _accesses(region.write_cycles, region.write_energy, accesses, nbytes)


def _accesses(cycles: Figure | None, energy: Figure | None, accesses: float, nbytes: float) -> Price:
    stalls = accesses * max(0.0, cycles.value - 1) if cycles else 0.0
    return Price(stalls, stalls, nbytes * energy.value if energy else 0.0)


def cycle_energy(board: Board, core: Core) -> Figure:
    """Picojoules per core cycle: microwatts per MHz."""
    return board.core.active_power or core.active_power


def _sleep(board: Board, on: Sequence[Region], seconds: float, period: float | None) -> float:
    """Microjoules between two inferences."""
    if period is None:
        return 0.0
    if not math.isfinite(period) or period < seconds:
        raise OptionError(f"a period of {period:g} s is too short: an inference takes {seconds:.3g} s")
    kept = sum(figure.value for r in on if r.volatile for figure in [r.retention or r.leakage] if figure)
    return ((board.core.sleep_power.value if board.core.sleep_power else 0.0) + kept) * (period - seconds)


def _estimates(board: Board, core: Core, names: Iterable[str], *, asleep: bool) -> tuple[str, ...]:
    """What was used of figures that no document gives, for a reader."""
    found = [("cycles per instruction", core.cycles_per_instruction), ("power while active", cycle_energy(board, core))]
    if asleep:
        unknown = Figure(0, estimate="not known, counted as nothing")
        found.append(("power while asleep", board.core.sleep_power or unknown))
    for name in names:
        region = region_named(board, name)
        for key in (
            "read_cycles",
            "write_cycles",
            "read_energy",
            "write_energy",
            "cache_bytes",
            "line_bytes",
            "leakage",
        ):
            figure = getattr(region, key)
            if figure is not None:
                found.append((f"{name}: {key}", figure))
    return tuple(f"{key} {figure.value:g}: {figure.estimate}" for key, figure in found if figure.estimate)
