# SPDX-License-Identifier: Apache-2.0
"""Results as JSON values, tables and files. The only module that turns bytes into human units."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from thimble.board import Board, Figure, Region
from thimble.climb import Step
from thimble.csvio import ProblemFile
from thimble.files import write_atomically
from thimble.ir import Model, short_name
from thimble.ladder import Rung
from thimble.mapping import MemoryMap
from thimble.memory import Infeasible, Solution
from thimble.report_ladder import console, ladder_table, print_notices, rung_json
from thimble.tflm.in_place import Refusal, Shared
from thimble.units import exact, human

_CSV_COLUMNS = ("index", "op", "name", "input_bytes", "output_bytes", "other_bytes", "scratch_bytes", "total_bytes")


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output and nothing else."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


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
        "rungs": [rung_json(rung) for rung in rungs],
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
    out = console()
    for memory in maps:
        if len(maps) > 1:
            out.print(f"\ngraph '{memory.graph.name}'", markup=False)
        _print_one_map(out, memory)
        if lifetimes:
            _print_lifetimes(out, memory)
    memory = maps[0]
    if memory.peak is not None:
        at = f"{exact(memory.peak_bytes)} at operator {memory.peak.op}"
        out.print(f"Peak: {at}. {memory.why()}", markup=False)
    if memory.variable_bytes:
        out.print(f"Variables keep {exact(memory.variable_bytes)} between inferences, besides the peak.")
    weights = model.main.constant_bytes()
    out.print(f"{model.macs():,} MACs, {exact(weights)} of constants.\n")
    out.print(ladder_table(rungs, None, f"TFLM's memory on {target}"))
    print_notices(model.notices)
    for picture in pictures:
        out.print(f"Drawn: {picture}", markup=False)


def _print_one_map(out: Console, memory: MemoryMap) -> None:
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
    out.print(table)
    if len(shown) < len(memory.operators):
        out.print(f"The {len(shown)} largest of {len(memory.operators)} operators; --csv or --json has all of them.")


def _print_lifetimes(out: Console, memory: MemoryMap) -> None:
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
    out.print(table)


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
        "in_place": [
            {"index": s.op, "op": s.kind, "name": s.name, "operand": s.operand, "result": s.result} for s in last.shared
        ],
        "not_in_place": [{"index": r.op, "op": r.kind, "name": r.name, "reason": r.reason} for r in last.refused],
        "targets": {
            name: {
                part: rung_json(step.rung) for part, step in zip(("shipped", "optimized", "alone"), found, strict=True)
            }
            for name, found in steps.items()
        },
    }


def print_optimize(output: Path, steps: dict[str, tuple[Step, Step, Step]]) -> None:
    """The arena before and after per target, and what the written file contains."""
    out = console()
    table = Table(title="TFLM's arena", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("target", "shipped", "optimized", "saved", "tensor_arena", ""):
        table.add_column(column, justify="left" if column in ("target", "") else "right")
    for name, (before, after, _) in steps.items():
        old, new = before.rung.arena_bytes, after.rung.arena_bytes
        proof = "proven least" if after.rung.proven else f"least possible: {after.rung.lower_bound_bytes:,} B or more"
        saved = f"{1 - new / max(1, old):.1%}"
        table.add_row(name, f"{old:,} B", f"{new:,} B", saved, f"{after.rung.ram_bytes:,} B", proof)
    out.print(table)
    (shipped, last, _), *_ = steps.values()
    done = [
        *(["operators reordered"] if last.schedule.order != shipped.schedule.order else []),
        *(["memory plan added"] if last.offsets is not None else []),
        *([f"in place: {_counted(last.shared)}"] if last.shared else []),
    ]
    if done:
        out.print(f"{output}: {', '.join(done)}", markup=False)
    else:
        out.print(f"Nothing is better on all of these targets: no plan is written, {output} is a copy.", markup=False)
    for name, (_, after, alone) in steps.items():
        if alone.rung.arena_bytes < after.rung.arena_bytes:
            out.print(f"Note: a file for {name} alone (--target {name}) reaches {exact(alone.rung.arena_bytes)}.")
    for reason in dict.fromkeys(r.reason for r in last.refused):
        out.print(f"Not in place: {_counted([r for r in last.refused if r.reason == reason])}: {reason}", markup=False)


def _counted(operators: Sequence[Shared | Refusal]) -> str:
    """How many operators of each kind, most of them first."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(o.kind for o in operators).most_common())


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
    out = console()
    head = f"{value['buffers']:,} buffers"
    if value["height"] is None:
        out.print(f"DOES NOT FIT: {head} in {exact(value['capacity'])}: proven", style="bold red")
        out.print(f"These cannot be placed together: {', '.join(value['witness'])}", markup=False)
        return
    proof = "proven least" if value["proven"] else f"lower bound {value['lower_bound']:,}"
    found = f"height {exact(value['height'])}, {proof}, by {value['method']}, {value['nodes']:,} nodes"
    if value["capacity"] is None:
        out.print(f"{head}: {found}, {value['seconds']:.2f} s")
    elif value["fits"]:
        out.print(f"FITS: {head} in {exact(value['capacity'])}: {found}", style="bold green")
    else:
        out.print(f"NOT FOUND: {head} in {exact(value['capacity'])}: {found}; try a larger --budget", style="bold red")


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
    console().print(table)


def print_board(board: Board) -> None:
    """Core, memories, and the source of every number."""
    out = console()
    out.print(f"{board.title} ({board.mcu}), target {board.target}", style="bold", markup=False)
    core = board.core
    clock = f"{core.clock_hz.value / 1e6:g} MHz [{_origin(core.clock_hz)}]"
    out.print(f"{core.name} ({core.architecture}), {clock}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("memory", "kind", "address", "size", "keeps data", "read", "write", "sources"):
        table.add_column(title, overflow="fold")
    for region in board.regions:
        table.add_row(*_region_cells(region))
    out.print(table)
    if board.note:
        out.print(board.note, markup=False)
    for key, title in board.documents.items():
        out.print(f"  {key}: {title}", markup=False)


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
