# SPDX-License-Identifier: Apache-2.0
"""What `fit`, `ladder` and `fitrate` say: JSON values and tables."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from thimble.fitrate import PUBLISHED, RUNGS, Needs, share
from thimble.front import Point
from thimble.ir import Model, short_name
from thimble.ladder import NAMES, Compiled, Rung, Verdict
from thimble.units import exact, human

_COSTS = (
    "nothing: the file as it is",
    "nothing: operators in another order",
    "nothing: other offsets",
    "nothing: results take the place of operands that die",
    "instructions where operators get kernels that need less work space, no multiply-accumulates",
    "a few instructions and a little flash for running row by row, no multiply-accumulates",
    "instructions and flash for values that are computed again",
)


def console() -> Console:
    """Standard output as a table's readers want it, also where it is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160, soft_wrap=True)


def print_notices(notices: Sequence[str]) -> None:
    """One line each."""
    for notice in notices:
        console().print(f"Note: {notice}", markup=False)


def rung_json(rung: Rung) -> dict[str, Any]:
    """The fields of DESIGN; those of TFLM are null where only C code exists, `compiled` is null where none does."""
    return {
        "rung": rung.rung,
        "name": rung.name,
        "runtime": "tflm" if rung.runs_on_tflm else "thimble",
        "arena_bytes": rung.arena_bytes,
        "lower_bound_bytes": rung.lower_bound_bytes,
        "proven": rung.proven,
        "extra_macs_ratio": rung.extra_macs_ratio,
        "seconds": rung.seconds,
        "persistent_bytes": rung.persistent_bytes,
        "total_bytes": rung.total_bytes,
        "ram_bytes": rung.ram_bytes,
        "compiled": None if rung.compiled is None else _compiled_json(rung.compiled),
    }


def _compiled_json(compiled: Compiled) -> dict[str, Any]:
    """RAM in all only where all of it is known."""
    return {
        "kernels": compiled.kernels,
        "arena_bytes": compiled.arena_bytes,
        "ram_bytes": compiled.ram_bytes if compiled.known else None,
        "flash_bytes": compiled.flash_bytes,
        "static_bytes": compiled.static_bytes,
        "stack_bytes": compiled.stack_bytes,
        "constant_bytes": compiled.constant_bytes,
        "macs": compiled.macs,
    }


def verdict_json(verdict: Verdict, asked: Asked) -> dict[str, Any]:
    """The fields of DESIGN: `fits`, `ram_bytes`, `flash_bytes`, `peak_operator`, `chosen_rung`, `rungs`, and more."""
    clash = verdict.clash
    return {
        "fits": verdict.fits,
        "device": verdict.device,
        "target": verdict.target,
        "runtime": verdict.runtime,
        "ram_bytes": verdict.ram_bytes,
        "ram_limit_bytes": verdict.limits.ram,
        "flash_bytes": verdict.flash_bytes,
        "flash_limit_bytes": verdict.limits.flash,
        "exact": verdict.exact,
        "peak_operator": verdict.peak_operator,
        "why": verdict.why,
        "chosen_rung": None if verdict.chosen is None else verdict.chosen.rung,
        "cost": None if verdict.chosen is None else cost(verdict),
        "command": making(verdict, asked),
        "rungs": [rung_json(rung) for rung in verdict.rungs],
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


def cost(verdict: Verdict) -> str:
    """What the chosen rung costs, in words."""
    chosen = verdict.chosen
    if chosen is None:
        return ""
    if not chosen.extra_macs_ratio:
        return _COSTS[chosen.rung]
    return f"{chosen.extra_macs_ratio:.1%} more multiply-accumulates: values are computed again"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked about, in the user's words; `stem` begins the names of what is made."""

    model: str
    stem: str
    board: str | None = None
    target: str | None = None
    batch: int | None = None


def making(verdict: Verdict, asked: Asked) -> str | None:
    """The command that makes what was chosen; None where nothing fits, or the file can stay as it is."""
    chosen = verdict.chosen
    if chosen is None or (verdict.runtime == "tflm" and chosen.rung == 0):
        return None
    if verdict.runtime == "thimble":
        return _compiling(verdict, asked, chosen.rung)
    return shlex.join(
        ["thimble", "optimize", asked.model, "--target", verdict.target, "-o", f"{asked.stem}-small.tflite"]
    )


def _compiling(verdict: Verdict, asked: Asked, rung: int | None) -> str:
    words = ["thimble", "compile", asked.model]
    words += ["--board", asked.board] if asked.board is not None else []
    words += ["--target", verdict.target] if asked.board is None or asked.target is not None else []
    words += ["--batch", str(asked.batch)] if asked.batch is not None else []
    words += ["--rung", str(rung)] if rung is not None else []
    return shlex.join([*words, "-o", f"{asked.stem}_c"])


def print_verdict(model: Model, verdict: Verdict, asked: Asked, pictures: tuple[Path, ...]) -> None:
    """Verdict first, then where the memory goes, then the ladder, and what to do."""
    out = console()
    if verdict.fits:
        out.print(f"FITS: {model.name} on {verdict.device}", style="bold green", markup=False)
    else:
        out.print(f"DOES NOT FIT: {model.name} on {verdict.device}", style="bold red", markup=False)
    least = "" if verdict.exact else "at least "
    _print_use("RAM", least, verdict.ram_bytes, verdict.limits.ram)
    _print_use("flash", least, verdict.flash_bytes, verdict.limits.flash)
    out.print(f"  peak   {verdict.why}", markup=False)
    if verdict.clash is not None and verdict.clash.ram_excess:
        out.print(f"\nLive together at {verdict.clash.operator} in the shipped order:", markup=False)
        for name, size in verdict.clash.tensors[:12]:
            out.print(f"  {size:>12,} B  {short_name(name, 70)}", markup=False)
        if len(verdict.clash.tensors) > 12:
            out.print(f"  and {len(verdict.clash.tensors) - 12} smaller ones")
    out.print()
    out.print(ladder_table(verdict.rungs, verdict.chosen, "Ladder: stock TFLM up to rung 2, compiled code above"))
    print_notices(verdict.notices)
    for picture in pictures:
        out.print(f"Drawn: {picture}", markup=False)
    _print_choice(verdict, asked)


def _print_choice(verdict: Verdict, asked: Asked) -> None:
    """What was chosen, what it costs, and the command that makes it."""
    out, chosen = console(), verdict.chosen
    by = "stock TFLM" if verdict.runtime == "tflm" else "compiled code"
    if chosen is None:
        out.print(f"No rung fits. Rung {verdict.closest.rung} ({verdict.closest.name}), {by}, comes closest.")
        return
    out.print(f"Chosen: rung {chosen.rung} ({chosen.name}), {by}. It costs {cost(verdict)}.", markup=False)
    command = making(verdict, asked)
    if command is None:
        out.print(f"Nothing to make: give TFLM the file, and a tensor_arena of {chosen.ram_bytes:,} bytes.")
    else:
        out.print(f"Make it: {command}", markup=False)
    if verdict.runtime == "tflm" and chosen.compiled is not None:
        out.print(f"As C code instead: {_compiling(verdict, asked, None)}", markup=False)


def _print_use(what: str, least: str, used: int, limit: int | None) -> None:
    out = console()
    if limit is None:
        out.print(f"  {what:<6} {least}{exact(used)} used")
        return
    left = limit - used
    rest = f"{exact(left)} left" if left >= 0 else f"{exact(-left)} too much"
    part = f" ({used / limit:.0%})" if limit else ""
    out.print(f"  {what:<6} {least}{exact(used)} of {exact(limit)}{part}: {rest}", markup=False)


def ladder_table(rungs: tuple[Rung, ...], chosen: Rung | None, title: str) -> Table:
    """One row per rung; the arena of compiled code beside TFLM's."""
    compiled = any(rung.compiled is not None for rung in rungs)
    columns = ["rung", "", "arena", "lower bound", "persistent", "RAM in all", "extra MACs"]
    table = _table(title, [*columns, *(["as C code"] if compiled else []), ""])
    for rung in rungs:
        remarks = [*(["proven least"] if rung.proven else []), *(["chosen"] if rung is chosen else [])]
        code = rung.compiled
        table.add_row(
            str(rung.rung),
            rung.name,
            f"{rung.arena_bytes:,} B",
            f"{rung.lower_bound_bytes:,} B",
            "" if rung.persistent_bytes is None else f"{rung.persistent_bytes:,} B",
            f"{rung.ram_bytes:,} B" if rung.runs_on_tflm or (code and code.known) else "",
            f"{rung.extra_macs_ratio:.1%}" if rung.extra_macs_ratio else "none",
            *([f"{code.arena_bytes:,} B" if code else ""] if compiled else []),
            ", ".join(remarks),
        )
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    """The first columns of words to the left, figures to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "model", "why", "rung") else "right", overflow="fold")
    return table


def ladder_json(model: Model, points: Sequence[Point], target: str, machine: str | None) -> dict[str, Any]:
    """`points` are the Pareto front, by falling arena; `rungs` all rungs, `on_front` or not."""
    rows = [_point_json(point) for point in points]
    front = [row for row in rows if row["on_front"]]
    return {
        "model": model.file,
        "target": target,
        "machine": machine,
        "kernels": points[0].compiled.kernels if points else None,
        "macs": model.macs(),
        "points": sorted(front, key=lambda row: -row["arena_bytes"]),
        "rungs": rows,
        "notices": [*model.notices, *_unknown(points)],
    }


def _point_json(point: Point) -> dict[str, Any]:
    return {
        "rung": point.rung.rung,
        "name": point.rung.name,
        "lower_bound_bytes": point.rung.lower_bound_bytes,
        "extra_macs_ratio": point.rung.extra_macs_ratio,
        **_compiled_json(point.compiled),
        "instructions": point.instructions,
        "seconds": point.rung.seconds,
        "on_front": point.on_front,
    }


def _unknown(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(point.unknown for point in points if point.unknown))


def print_ladder(model: Model, points: Sequence[Point], target: str, machine: str | None, picture: Path | None) -> None:
    """One row per rung; those that give nothing more than a cheaper one are dimmed."""
    out = console()
    by = f", instructions counted on {machine}" if machine else ""
    table = _table(
        f"{model.name} as compiled code for {target}{by}",
        ["rung", "", "arena", "saved", "RAM in all", "flash", "extra MACs", *(["instructions"] if machine else []), ""],
    )
    first = points[0].rung.arena_bytes if points else 0
    for point in points:
        code = point.compiled
        table.add_row(
            str(point.rung.rung),
            point.rung.name,
            f"{code.arena_bytes:,} B",
            f"{1 - code.arena_bytes / max(1, first):.1%}",
            f"{code.ram_bytes:,} B" if code.known else "",
            "" if code.flash_bytes is None else f"{code.flash_bytes:,} B",
            f"{point.rung.extra_macs_ratio:.1%}" if point.rung.extra_macs_ratio else "none",
            *(["" if point.instructions is None else f"{point.instructions:,}"] if machine else []),
            "on the front" if point.on_front else "",
            style="" if point.on_front else "dim",
        )
    out.print(table)
    out.print(f"{model.macs():,} MACs. The front: nothing needs less memory at no higher price.")
    print_notices([*model.notices, *_unknown(points)])
    if picture is not None:
        out.print(f"Drawn: {picture}", markup=False)


def fitrate_json(found: Sequence[Needs], sizes: Sequence[int]) -> dict[str, Any]:
    """Shares by size and rung, and what they are made of; `failed` could not be read or planned."""
    return {
        "models": sum(bool(model.arenas) for model in found),
        "sizes": [
            {
                "bytes": size,
                "published": dict(zip(("before", "after"), PUBLISHED[size], strict=True))
                if size in PUBLISHED
                else None,
                "rungs": [
                    {
                        "rung": rung,
                        "name": NAMES[rung],
                        "fit": sum(model.fits(rung, size) for model in found if model.arenas),
                        "share": round(share(found, rung, size), 4),
                    }
                    for rung in RUNGS
                ],
            }
            for size in sizes
        ],
        "needs": [
            {"model": m.name, "weight_bytes": m.weight_bytes, "arenas": list(m.arenas), "note": m.note or None}
            for m in found
            if m.arenas
        ],
        "failed": [{"model": model.name, "why": model.note} for model in found if not model.arenas],
    }


def print_fitrate(found: Sequence[Needs], sizes: Sequence[int], picture: Path | None) -> None:
    """The shares, what was published, and the models that are missing or only partly planned."""
    out = console()
    planned = [model for model in found if model.arenas]
    table = _table(
        f"Weights and activations of {len(planned)} models that fit", ["rung", "", *(human(size) for size in sizes)]
    )
    for rung in RUNGS:
        counts = [sum(model.fits(rung, size) for model in planned) for size in sizes]
        shares = [f"{count} ({share(found, rung, size):.0%})" for count, size in zip(counts, sizes, strict=True)]
        table.add_row(str(rung), NAMES[rung], *shares)
    known = [PUBLISHED.get(size) for size in sizes]
    if any(known):
        cells = [f"{pair[0]:.0%} to {pair[1]:.0%}" if pair else "" for pair in known]
        table.add_row("", "CEVA's models, before and after", *cells)
    out.print(table)
    partly = [model for model in planned if model.note]
    for title, rows in (
        ("Rungs 0 to 2 only, the last of which counts for those above", partly),
        ("Not counted", [model for model in found if not model.arenas]),
    ):
        if rows:
            out.print(f"\n{title}: {len(rows)}")
            for model in rows:
                out.print(f"  {model.name}: {model.note}", markup=False)
    if picture is not None:
        out.print(f"Drawn: {picture}", markup=False)
