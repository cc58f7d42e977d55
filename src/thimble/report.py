# SPDX-License-Identifier: Apache-2.0
"""Results as JSON values, tables and files. The only module that turns bytes into human units."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from thimble.board import Board, Figure, Region
from thimble.csvio import ProblemFile
from thimble.files import write_atomically
from thimble.ir import Model, short_name
from thimble.ladder import Rung, Verdict
from thimble.mapping import MemoryMap
from thimble.memory import Infeasible, Solution
from thimble.pipeline import Step
from thimble.units import exact, human

_CSV_COLUMNS = ("index", "op", "name", "input_bytes", "output_bytes", "other_bytes", "scratch_bytes", "total_bytes")


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output and nothing else."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160, soft_wrap=True)


def _rows(memory: MemoryMap) -> list[dict[str, Any]]:
    return [
        {
            "index": row.op,
            "op": row.kind,
            "name": row.name,
            "input_bytes": row.input_bytes,
            "output_bytes": row.output_bytes,
            "other_bytes": row.other_bytes,
            "scratch_bytes": row.scratch_bytes,
            "total_bytes": row.total_bytes,
        }
        for row in memory.operators
    ]


def _graph_json(memory: MemoryMap) -> dict[str, Any]:
    peak = memory.peak
    return {
        "graph": memory.graph.name,
        "peak_bytes": memory.peak_bytes,
        "peak_operator": None if peak is None else peak.name,
        "peak_index": None if peak is None else peak.op,
        "why": memory.why(),
        "variable_bytes": memory.variable_bytes,
        "operators": _rows(memory),
        "tensors": [
            {
                "name": memory.graph.tensors[tensor].name,
                "bytes": memory.graph.tensors[tensor].nbytes,
                "start": life.start,
                "stop": life.stop,
            }
            for tensor, life in memory.lifetimes
        ],
    }


def map_json(model: Model, maps: tuple[MemoryMap, ...], rungs: tuple[Rung, ...], target: str) -> dict[str, Any]:
    """The main graph's map, the other graphs' under `subgraphs`, and what TFLM needs for it on each rung."""
    return {
        "model": model.file,
        "macs": model.macs(),
        "constant_bytes": model.main.constant_bytes(),
        **_graph_json(maps[0]),
        "subgraphs": [_graph_json(memory) for memory in maps[1:]],
        "rungs_target": target,
        "rungs": [_rung_json(rung) for rung in rungs],
        "notices": list(model.notices),
    }


def write_csv(memory: MemoryMap, path: Path) -> None:
    """One row per operator in execution order, and the names of the other live tensors."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_CSV_COLUMNS, "other_tensors"))
    for row, operator in zip(_rows(memory), memory.operators, strict=True):
        others = " ".join(memory.graph.tensors[t].name for t in memory.others(operator))
        writer.writerow([*(row[column] for column in _CSV_COLUMNS), others])
    write_atomically(path, text.getvalue().encode())


def write_pictures(model: Model, maps: tuple[MemoryMap, ...], steps: tuple[Step, ...], path: Path) -> tuple[Path, Path]:
    """Draw the stacked bars to `path` and the arena over time beside it; both paths are returned.

    Shipped and optimised stand one above the other where they differ.

    Args:
        model: the model.
        maps: the main graph's map as shipped and, where another order is better, in that order.
        steps: the rungs, first and last of which are drawn.
        path: a .png or .svg file.
    """
    from thimble import plot

    arena = path.with_name(f"{path.stem}-arena{path.suffix}")
    shipped, best = steps[0], steps[-1]
    plot.draw_bars(model.name, maps, path)
    better = best.allocation.nonpersistent_bytes < shipped.allocation.nonpersistent_bytes
    plot.draw_arena(model, (shipped, best) if better else (shipped,), arena)
    return path, arena


def _long_shown(memory: MemoryMap, limit: int = 40) -> list[int]:
    """Which operators to print: all of a short model, else the largest, in order."""
    if len(memory.operators) <= limit:
        return list(range(len(memory.operators)))
    by_size = sorted(memory.operators, key=lambda row: -row.total_bytes)[:limit]
    return sorted(row.step for row in by_size)


def print_map(
    model: Model,
    maps: tuple[MemoryMap, ...],
    rungs: tuple[Rung, ...],
    target: str,
    pictures: tuple[Path, ...],
    *,
    lifetimes: bool = False,
) -> None:
    """The table of one model, its peak and why, and what TFLM needs for it on each rung."""
    console = _console()
    for memory in maps:
        if len(maps) > 1:
            console.print(f"\ngraph '{memory.graph.name}'", markup=False)
        _print_one_map(console, memory)
        if lifetimes:
            _print_lifetimes(console, memory)
    memory = maps[0]
    if memory.peak is not None:
        at = f"{exact(memory.peak_bytes)} at operator {memory.peak.op}"
        console.print(f"Peak: {at}. {memory.why()}", markup=False)
    if memory.variable_bytes:
        console.print(f"Variables keep {exact(memory.variable_bytes)} between inferences, besides the peak.")
    weights = model.main.constant_bytes()
    console.print(f"{model.macs():,} MACs, {exact(weights)} of constants.\n")
    console.print(_ladder_table(rungs, None, f"TFLM's memory on {target}"))
    _print_notices(console, model.notices)
    for picture in pictures:
        console.print(f"Drawn: {picture}", markup=False)


def _print_one_map(console: Console, memory: MemoryMap) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("#", "operator", "name", "input", "output", "other", "scratch", "total", ""):
        table.add_column(title, justify="left" if title in ("operator", "name", "") else "right", overflow="fold")
    shown = _long_shown(memory)
    for step in shown:
        row = memory.operators[step]
        figures = (row.input_bytes, row.output_bytes, row.other_bytes, row.scratch_bytes, row.total_bytes)
        mark = "◀ peak" if row is memory.peak else human(row.total_bytes)
        cells = (str(row.op), row.kind, short_name(row.name, 44), *(f"{n:,}" for n in figures), mark)
        table.add_row(*cells, style="bold red" if row is memory.peak else "")
    console.print(table)
    if len(shown) < len(memory.operators):
        console.print(
            f"The {len(shown)} largest of {len(memory.operators)} operators; --csv or --json has all of them."
        )


def _print_lifetimes(console: Console, memory: MemoryMap) -> None:
    """The tensors in the order in which they come to life."""
    table = Table(title="Tensors", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for title in ("tensor", "bytes", "from", "to"):
        table.add_column(title, justify="right" if title == "bytes" else "left", overflow="fold")
    runs = memory.operators
    for tensor, life in sorted(memory.lifetimes, key=lambda pair: pair[1].start):
        found = memory.graph.tensors[tensor]
        start = "the start" if tensor in memory.graph.given or not runs else f"#{runs[life.start].op}"
        stop = "the end" if tensor in memory.graph.outputs or not runs else f"#{runs[life.stop - 1].op}"
        table.add_row(short_name(found.name), f"{found.nbytes:,}", start, stop)
    console.print(table)


def _print_notices(console: Console, notices: tuple[str, ...]) -> None:
    for notice in notices:
        console.print(f"Note: {notice}", markup=False)


def _rung_json(rung: Rung) -> dict[str, Any]:
    return {
        "rung": rung.rung,
        "name": rung.name,
        "arena_bytes": rung.arena_bytes,
        "lower_bound_bytes": rung.lower_bound_bytes,
        "proven": rung.proven,
        "extra_macs_ratio": rung.extra_macs_ratio,
        "seconds": rung.seconds,
        "persistent_bytes": rung.persistent_bytes,
        "total_bytes": rung.total_bytes,
        "ram_bytes": rung.ram_bytes,
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The fields of DESIGN: `fits`, `ram_bytes`, `flash_bytes`, `peak_operator`, `chosen_rung`, `rungs`, and more."""
    clash = verdict.clash
    return {
        "fits": verdict.fits,
        "device": verdict.device,
        "target": verdict.target,
        "ram_bytes": verdict.ram_bytes,
        "ram_limit_bytes": verdict.limits.ram,
        "flash_bytes": verdict.flash_bytes,
        "flash_limit_bytes": verdict.limits.flash,
        "peak_operator": verdict.peak_operator,
        "why": verdict.why,
        "chosen_rung": None if verdict.chosen is None else verdict.chosen.rung,
        "rungs": [_rung_json(rung) for rung in verdict.rungs],
        "clash": None
        if clash is None
        else {
            "operator": clash.operator,
            "ram_excess_bytes": clash.ram_excess,
            "flash_excess_bytes": clash.flash_excess,
            "tensors": [{"name": name, "bytes": size} for name, size in clash.tensors],
        },
        "notices": list(verdict.notices),
    }


def print_verdict(model: Model, verdict: Verdict, pictures: tuple[Path, ...]) -> None:
    """Verdict first, then where the memory goes, then the ladder."""
    console = _console()
    if verdict.fits:
        console.print(f"FITS: {model.name} on {verdict.device}", style="bold green", markup=False)
    else:
        console.print(f"DOES NOT FIT: {model.name} on {verdict.device}", style="bold red", markup=False)
    _print_use(console, "RAM", verdict.ram_bytes, verdict.limits.ram)
    _print_use(console, "flash", verdict.flash_bytes, verdict.limits.flash)
    console.print(f"  peak   {verdict.why}", markup=False)
    if verdict.clash is not None and verdict.clash.ram_excess:
        console.print(f"\nLive together at {verdict.clash.operator}:", markup=False)
        for name, size in verdict.clash.tensors[:12]:
            console.print(f"  {size:>12,} B  {short_name(name, 70)}", markup=False)
        if len(verdict.clash.tensors) > 12:
            console.print(f"  and {len(verdict.clash.tensors) - 12} smaller ones")
    console.print()
    console.print(_ladder_table(verdict.rungs, verdict.chosen, "Ladder"))
    _print_notices(console, verdict.notices)
    for picture in pictures:
        console.print(f"Drawn: {picture}", markup=False)


def _print_use(console: Console, what: str, used: int, limit: int | None) -> None:
    if limit is None:
        console.print(f"  {what:<6} {exact(used)} used")
        return
    left = limit - used
    rest = f"{exact(left)} left" if left >= 0 else f"{exact(-left)} too much"
    share = f" ({used / limit:.0%})" if limit else ""
    console.print(f"  {what:<6} {exact(used)} of {exact(limit)}{share}: {rest}", markup=False)


def _ladder_table(rungs: tuple[Rung, ...], chosen: Rung | None, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("rung", "", "arena", "lower bound", "persistent", "RAM in all", "extra MACs", ""):
        table.add_column(column, justify="right" if column else "left")
    for rung in rungs:
        bound = "proven least" if rung.proven else f"{rung.arena_bytes - rung.lower_bound_bytes:,} B above its bound"
        table.add_row(
            str(rung.rung),
            rung.name,
            f"{rung.arena_bytes:,} B",
            f"{rung.lower_bound_bytes:,} B",
            f"{rung.persistent_bytes:,} B",
            f"{rung.ram_bytes:,} B",
            f"{rung.extra_macs_ratio:.0%}" if rung.extra_macs_ratio else "none",
            bound + (", chosen" if rung is chosen else ""),
        )
    return table


def optimize_json(model: str, output: Path, steps: dict[str, tuple[Step, Step, Step]]) -> dict[str, Any]:
    """What was written, and the arena before and after; the fields of one target are the first target's."""
    (first, (shipped, last, _)), *_ = steps.items()
    return {
        "model": model,
        "output": str(output),
        "target": first,
        "shipped_arena_bytes": shipped.rung.arena_bytes,
        "arena_bytes": last.rung.arena_bytes,
        "reordered": last.schedule.order != shipped.schedule.order,
        "plan": last.offsets is not None,
        "order": list(last.schedule.order),
        "targets": {
            name: {
                part: _rung_json(step.rung) for part, step in zip(("shipped", "optimized", "alone"), found, strict=True)
            }
            for name, found in steps.items()
        },
    }


def print_optimize(output: Path, steps: dict[str, tuple[Step, Step, Step]]) -> None:
    """The arena before and after per target, and what the written file contains."""
    console = _console()
    table = Table(title="TFLM's arena", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("target", "shipped", "optimized", "saved", "tensor_arena", ""):
        table.add_column(column, justify="left" if column in ("target", "") else "right")
    for name, (before, after, _) in steps.items():
        old, new = before.rung.arena_bytes, after.rung.arena_bytes
        proof = "proven least" if after.rung.proven else f"least possible: {after.rung.lower_bound_bytes:,} B or more"
        saved = f"{1 - new / max(1, old):.1%}"
        table.add_row(name, f"{old:,} B", f"{new:,} B", saved, f"{after.rung.ram_bytes:,} B", proof)
    console.print(table)
    (shipped, last, _), *_ = steps.values()
    done = [
        *(["operators reordered"] if last.schedule.order != shipped.schedule.order else []),
        *(["memory plan added"] if last.offsets is not None else []),
    ]
    if done:
        console.print(f"{output}: {', '.join(done)}", markup=False)
    else:
        console.print(
            f"Nothing is better on all of these targets: no plan is written, {output} is a copy.", markup=False
        )
    for name, (_, after, alone) in steps.items():
        if alone.rung.arena_bytes < after.rung.arena_bytes:
            console.print(f"Note: a file for {name} alone (--target {name}) reaches {exact(alone.rung.arena_bytes)}.")


def pack_json(
    problem: ProblemFile, solution: Solution | Infeasible, capacity: int | None, seconds: float
) -> dict[str, Any]:
    """The height and its proof, or the set of buffers that clash."""
    value: dict[str, Any] = {"buffers": len(problem.names), "capacity": capacity, "seconds": round(seconds, 3)}
    if isinstance(solution, Infeasible):
        clash = [problem.names[buffer] for buffer in solution.witness]
        return value | {"fits": False, "height": None, "lower_bound": None, "proven": True, "witness": clash}
    return value | {
        "fits": capacity is None or solution.height <= capacity,
        "height": solution.height,
        "lower_bound": solution.lower_bound,
        "proven": solution.proven,
        "method": solution.method,
        "nodes": solution.nodes,
    }


def print_pack(value: dict[str, Any]) -> None:
    """One or two lines."""
    console = _console()
    head = f"{value['buffers']:,} buffers"
    if value["height"] is None:
        console.print(f"DOES NOT FIT: {head} in {exact(value['capacity'])}: proven", style="bold red")
        console.print(f"These cannot be placed together: {', '.join(value['witness'])}", markup=False)
        return
    proof = "proven least" if value["proven"] else f"lower bound {value['lower_bound']:,}"
    found = f"height {exact(value['height'])}, {proof}, by {value['method']}, {value['nodes']:,} nodes"
    if value["capacity"] is None:
        console.print(f"{head}: {found}, {value['seconds']:.2f} s")
    elif value["fits"]:
        console.print(f"FITS: {head} in {exact(value['capacity'])}: {found}", style="bold green")
    else:
        console.print(
            f"NOT FOUND: {head} in {exact(value['capacity'])}: {found}; try a larger --budget", style="bold red"
        )


def board_summary(board: Board) -> dict[str, Any]:
    """What the list of boards shows."""
    return {
        "name": board.name,
        "title": board.title,
        "target": board.target,
        "core": board.core.name,
        "clock_hz": int(board.core.clock_hz.value),
        "ram_bytes": sum(r.bytes for r in board.ram),
        "arena_bytes": board.ram_span(),
        "flash_bytes": board.flash_bytes(),
    }


def board_json(board: Board) -> dict[str, Any]:
    """Everything in the board file."""
    value: dict[str, Any] = msgspec.to_builtins(board)
    return {**value, **board_summary(board), "core": value["core"]}


def print_boards(boards: list[Board]) -> None:
    """One line per board."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("board", "device", "core", "MHz", "RAM", "largest arena", "flash"):
        table.add_column(title, justify="right" if title in ("MHz", "RAM", "largest arena", "flash") else "left")
    for board in boards:
        row = board_summary(board)
        sizes = [human(row[key]) for key in ("ram_bytes", "arena_bytes", "flash_bytes")]
        sizes[2] = sizes[2] if row["flash_bytes"] else "in RAM"
        table.add_row(row["name"], row["title"], row["core"], f"{row['clock_hz'] / 1e6:g}", *sizes)
    _console().print(table)


def print_board(board: Board) -> None:
    """Core, memories, and the source of every number."""
    console = _console()
    console.print(f"{board.title} ({board.mcu}), target {board.target}", style="bold", markup=False)
    core = board.core
    clock = f"{core.clock_hz.value / 1e6:g} MHz [{_origin(core.clock_hz)}]"
    console.print(f"{core.name} ({core.architecture}), {clock}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("memory", "kind", "address", "size", "keeps data", "read", "write", "sources"):
        table.add_column(title, overflow="fold")
    for region in board.regions:
        table.add_row(*_region_cells(region))
    console.print(table)
    if board.note:
        console.print(board.note, markup=False)
    for key, title in board.documents.items():
        console.print(f"  {key}: {title}", markup=False)


def _origin(figure: Figure) -> str:
    return figure.source or f"estimate: {figure.estimate}"


def _region_cells(region: Region) -> tuple[str, ...]:
    figures = (region.origin, region.size, region.read_cycles, region.write_cycles)
    origins = dict.fromkeys(_origin(f) for f in figures if f is not None)
    return (
        region.name,
        region.kind + (" (external)" if region.external else ""),
        f"{region.address:#010x}",
        exact(region.bytes),
        "no" if region.volatile else "yes",
        "" if region.read_cycles is None else f"{region.read_cycles.value:g} cycles",
        "" if region.write_cycles is None else f"{region.write_cycles.value:g} cycles",
        "; ".join(origins),
    )
