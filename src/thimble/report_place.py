# SPDX-License-Identifier: Apache-2.0
"""What `thimble place` and `thimble boards compare` say: JSON values and tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thimble.board import Figure
from thimble.compare import BoardRow
from thimble.cost import cycle_energy
from thimble.errors import OptionError
from thimble.place_board import Pair, Placed, Setting, banks_of
from thimble.place_parts import BoardMemory
from thimble.placement import NoRoom
from thimble.plot_place import Bar, draw_placements
from thimble.runtimes import core_named
from thimble.units import exact, human

_FIGURES = (
    "read_cycles",
    "write_cycles",
    "read_energy",
    "write_energy",
    "cache_bytes",
    "line_bytes",
    "leakage",
    "retention",
)
_KINDS = ("weights", "tensor", "scratch", "code", "stack")
_LISTED = 12  # parts named in the table; JSON has them all


@dataclass(frozen=True, slots=True)
class Placement:
    """Everything that is said of a model on a board."""

    model: str
    objective: str
    setting: Setting
    best: Placed | NoRoom
    pairs: tuple[Pair, ...]


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160, soft_wrap=True)


def reference_of(pairs: Sequence[Pair]) -> Pair | None:
    """What pairs are held against: everything in one memory, the fastest one that is large enough; else the fastest."""
    possible = [pair for pair in pairs if pair.placed is not None]
    same = [pair for pair in possible if pair.weights == pair.activations] or possible
    return min(same, key=_latency, default=None)


def _latency(pair: Pair) -> float:
    return pair.placed.latency_ms if pair.placed is not None else float("inf")


def region_at(memory: BoardMemory, offset: int, size: int) -> str:
    """The board's region, or regions, in which so many bytes are."""
    start, names = 0, []
    for region in memory.regions:
        if offset < start + region.bytes and start < offset + max(1, size):
            names.append(region.name)
        start += region.bytes
    return "..".join(dict.fromkeys((names[0], names[-1])))


def place_json(value: Placement, *, every_pair: bool) -> dict[str, Any]:
    """The best placement; with `every_pair` also what whole memories would take."""
    setting, best = value.setting, value.best
    placed = None if isinstance(best, NoRoom) else best
    result: dict[str, Any] = {
        "model": value.model,
        "board": setting.board.name,
        "runtime": setting.runtime,
        "objective": value.objective,
        "fits": placed is not None,
        "missing_bytes": best.excess if isinstance(best, NoRoom) else 0,
        "latency_ms": None if placed is None else placed.latency_ms,
        "energy_uj": None if placed is None else placed.energy_uj,
        "period_s": setting.period,
        "proven": None if placed is None else placed.proven,
        "gap": None if placed is None else placed.gap,
        "memories": [] if placed is None else [_memory_json(placed, m) for m in range(len(setting.memories))],
        "placements": [] if placed is None else _placements(placed),
        "estimates": list(estimates(setting)),
        "notices": list(setting.parts.notices),
    }
    if every_pair:
        reference = reference_of(value.pairs)
        result["pairs"] = [_pair_json(pair, reference) for pair in value.pairs]
    return result


def estimates(setting: Setting) -> tuple[str, ...]:
    """Figures that prices are made of and no document gives."""
    core = core_named(setting.board.target)
    found: list[tuple[str, Figure | None]] = [
        ("cycles per instruction", core.cycles_per_instruction),
        ("power while active", cycle_energy(setting.board, core)),
    ]
    for memory in setting.memories:
        for region in memory.regions:
            found += [(f"{region.name}: {key}", getattr(region, key)) for key in _FIGURES]
    return tuple(f"{what} {figure.value:g}: {figure.estimate}" for what, figure in found if figure and figure.estimate)


def _placements(placed: Placed) -> list[dict[str, Any]]:
    rows = zip(placed.setting.parts.parts, placed.result.memories, placed.result.offsets, strict=True)
    return [
        {
            "what": part.name,
            "kind": part.kind,
            "region": region_at(placed.setting.memories[memory], offset, part.size),
            "address": placed.setting.memories[memory].like.address + offset,
            "bytes": part.size,
        }
        for part, memory, offset in rows
    ]


def _memory_json(placed: Placed, number: int) -> dict[str, Any]:
    setting, result = placed.setting, placed.result
    memory = setting.memories[number]
    inside = [p for p, m in zip(setting.parts.parts, result.memories, strict=True) if m == number]
    counts = {f"{kind}_bytes": sum(p.size for p in inside if p.kind == kind) for kind in _KINDS if kind != "tensor"}
    return {
        "memory": memory.name,
        "regions": [region.name for region in memory.regions],
        "bytes": sum(region.bytes for region in memory.regions),
        "used_bytes": result.used[number],
        "arena_bytes": result.arenas[number],
        **counts,
        "copies_bytes": sum(
            p.size
            for p, home, m in zip(setting.parts.parts, result.homes, result.memories, strict=True)
            if home == number != m
        ),
        "banks_on": result.banks[number],
        "off": not result.used[number] and any(region.bank_size for region in memory.regions),
    }


def _pair_json(pair: Pair, reference: Pair | None) -> dict[str, Any]:
    relative = relatives(pair.placed, reference)
    return {
        "weights": pair.weights,
        "activations": pair.activations,
        "fits": pair.placed is not None,
        "latency_ms": None if pair.placed is None else pair.placed.latency_ms,
        "energy_uj": None if pair.placed is None else pair.placed.energy_uj,
        "relative_latency": None if relative is None else relative[0],
        "relative_energy": None if relative is None else relative[1],
    }


def relatives(placed: Placed | None, reference: Pair | None) -> tuple[float, float] | None:
    """Latency and energy relative to the reference; None where either does not fit."""
    if placed is None or reference is None or reference.placed is None:
        return None
    base = reference.placed
    return placed.latency_ms / base.latency_ms, placed.energy_uj / base.energy_uj if base.energy_uj else 1.0


def print_place(value: Placement, *, every_pair: bool, picture: Path | None) -> None:
    """Memories with what they hold, the largest parts, and with `every_pair` the table of pairs."""
    console, setting = _console(), value.setting
    console.print(f"{escape(value.model)} on {escape(setting.board.title)}, runtime {setting.runtime}")
    if isinstance(value.best, NoRoom):
        missing = value.best.excess
        why = f"at least {exact(missing)} are missing" if missing else "no memory may hold one of its parts"
        console.print(f"DOES NOT FIT: {why}")
    else:
        _print_best(console, value.best, value.objective)
    if every_pair:
        _print_pairs(console, value)
    for notice in setting.parts.notices:
        console.print(f"Note: {escape(notice)}")
    count = len(estimates(setting))
    if count:
        console.print(f"Note: {count} figures of core and memories are estimates; --json lists them")
    if picture is not None:
        console.print(f"Wrote {escape(str(picture))}")


def _print_best(console: Console, placed: Placed, objective: str) -> None:
    proof = "proven best" if placed.proven else f"at most {100 * placed.gap:.2g} % above the best"
    wanted = "latency and energy" if objective == "mix" else objective
    console.print(f"Least {wanted}: {placed.latency_ms:,.3f} ms, {placed.energy_uj:,.1f} uJ per inference ({proof})")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("memory", "of", "weights", "arena", "code", "stack", "copies", "power"):
        table.add_column(title, justify="left" if title in ("memory", "power") else "right")
    for number in range(len(placed.setting.memories)):
        row = _memory_json(placed, number)
        sizes = [f"{row[f'{key}_bytes']:,}" for key in ("weights", "arena", "code", "stack", "copies")]
        table.add_row(escape(row["memory"]), human(row["bytes"]), *sizes, _power(placed, number))
    console.print(table)
    _print_parts(console, placed)


def _power(placed: Placed, number: int) -> str:
    memory, on = placed.setting.memories[number], placed.result.banks[number]
    if not any(region.bank_size for region in memory.regions):
        return "always on" if placed.result.used[number] else "unused"
    return f"{on} of {len(banks_of(memory))} banks on" if on else "off"


def _print_parts(console: Console, placed: Placed) -> None:
    rows = sorted(_placements(placed), key=lambda row: -row["bytes"])
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("what", "memory", "bytes"):
        table.add_column(title, justify="right" if title == "bytes" else "left")
    for row in rows[:_LISTED]:
        table.add_row(escape(row["what"]), escape(row["region"]), f"{row['bytes']:,}")
    console.print()
    console.print(table)
    if len(rows) > _LISTED:
        console.print(f"and {len(rows) - _LISTED} smaller ones; --json lists all")


def _print_pairs(console: Console, value: Placement) -> None:
    reference = reference_of(value.pairs)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("weights", "activations", "ms", "uJ", "latency", "energy"):
        table.add_column(title, justify="left" if title in ("weights", "activations") else "right")
    for pair in value.pairs:
        table.add_row(escape(pair.weights), escape(pair.activations), *_cells(pair.placed, reference))
    if not isinstance(value.best, NoRoom):
        table.add_row("best placement", "", *_cells(value.best, reference))
    console.print()
    console.print(table)
    if reference is not None:
        console.print(
            f"Latency and energy relative to weights in {reference.weights}, activations in {reference.activations}"
        )


def _cells(placed: Placed | None, reference: Pair | None) -> tuple[str, ...]:
    relative = relatives(placed, reference)
    if placed is None or relative is None:
        return "does not fit", "", "", ""
    return f"{placed.latency_ms:,.3f}", f"{placed.energy_uj:,.1f}", f"{relative[0]:.3f}", f"{relative[1]:.3f}"


def write_picture(value: Placement, path: Path) -> None:
    """Draw all pairs that fit, and the best placement last.

    Raises:
        OptionError: nothing fits, or the file is of another kind.
    """
    reference = reference_of(value.pairs)
    if isinstance(value.best, NoRoom) or reference is None:
        raise OptionError(f"{path}: nothing to draw, as the model does not fit {value.setting.board.name}")
    named = [(f"W {p.weights}\nA {p.activations}", p.placed) for p in value.pairs]
    bars = [
        Bar(label, *relative)
        for label, placed in [*named, ("best placement", value.best)]
        if (relative := relatives(placed, reference)) is not None
    ]
    title = f"{value.model} on {value.setting.board.title}, runtime {value.setting.runtime}: least {value.objective}"
    draw_placements(title, f"weights in {reference.weights}, activations in {reference.activations}", bars, path)


def compare_json(model: str, rows: Sequence[BoardRow]) -> dict[str, Any]:
    """A row per board."""
    boards = [
        {
            "board": row.board.name,
            "title": row.board.title,
            "fits": row.fits,
            "rung": row.rung,
            "runtime": row.runtime,
            "ram_bytes": row.ram_bytes,
            "flash_bytes": row.flash_bytes,
            "latency_ms": row.latency_ms,
            "energy_uj": row.energy_uj,
            "note": row.note,
        }
        for row in rows
    ]
    return {"model": model, "boards": boards}


def print_compare(model: str, rows: Sequence[BoardRow]) -> None:
    """A line per board."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("board", "device", "fits", "rung", "RAM", "flash", "ms", "uJ")
    for title in titles:
        table.add_column(title, justify="left" if title in titles[:3] else "right")
    for row in rows:
        table.add_row(
            escape(row.board.name),
            escape(row.board.title),
            f"yes ({row.runtime})" if row.fits else "no",
            "-" if row.rung is None else str(row.rung),
            f"{row.ram_bytes:,}",
            f"{row.flash_bytes:,}",
            "-" if row.latency_ms is None else f"{row.latency_ms:,.2f}",
            "-" if row.energy_uj is None else f"{row.energy_uj:,.0f}",
        )
    console.print(escape(model))
    console.print(table)
    fitting = sum(row.fits for row in rows)
    console.print(
        f"Fits {fitting} of {len(rows)} boards. Latency and energy: compiled code, each part in the best memory."
    )
