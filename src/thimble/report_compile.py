# SPDX-License-Identifier: Apache-2.0
"""What `thimble compile` and `thimble run` say: JSON values and tables."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thimble.inference import Outcome, real
from thimble.ir import Array, short_name
from thimble.units import exact

TOP = 5
_SIZES = ("arena_bytes", "ram_bytes", "flash_bytes", "stack_bytes", "constant_bytes", "code_bytes", "macs", "rung")


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160, soft_wrap=True)


def compile_json(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest without its long lists."""
    kept = (
        "name",
        "target",
        "board",
        "kernels",
        "optimize",
        "instructions",
        "instructions_from",
        "package",
        "fits",
        *_SIZES,
        "ram_limit_bytes",
        "flash_limit_bytes",
        "inputs",
        "outputs",
        "files",
        "placements",
        "notices",
    )
    return {"output": str(folder), **{key: manifest[key] for key in kept}}


def print_compile(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The sizes, what was written, and what to do next."""
    console = _console()
    kind = f"{manifest['target']}, {manifest['kernels']} kernels, rung {manifest['rung']}, {manifest['optimize']}"
    console.print(f"{manifest['name']} for {kind}")
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = (
        ("RAM (arena, statics, stack)", "ram_bytes"),
        ("arena", "arena_bytes"),
        ("stack, at most", "stack_bytes"),
        ("flash (code, constants)", "flash_bytes"),
        ("constants", "constant_bytes"),
    )
    for what, key in rows:
        limit = manifest.get(key.replace("_bytes", "_limit_bytes"))
        of = "" if limit is None else f"of {exact(limit)}"
        table.add_row(what, "not measured" if manifest[key] is None else exact(manifest[key]), of)
    table.add_row("multiply-accumulates", f"{manifest['macs']:,}")
    if manifest["instructions"] is not None:
        table.add_row("instructions", f"{manifest['instructions']:,}", manifest["instructions_from"])
    console.print(table)
    if manifest["fits"] is not None:
        console.print(("Fits " if manifest["fits"] else "DOES NOT FIT ") + escape(manifest["board"]))
    console.print(f"Wrote {len(manifest['files'])} files to {escape(str(folder))}; start with README.md there.")
    _print_layout(console, manifest)
    _print_notices(console, manifest["notices"])


def _print_layout(console: Console, manifest: Mapping[str, Any]) -> None:
    """Bytes per memory of a bundle whose memories were chosen."""
    layout = manifest["layout"]
    for memory in () if layout is None else layout["memories"]:
        inside = [row for row in manifest["placements"] if row["region"] == memory["region"]]
        kinds = {
            kind: sum(row["bytes"] for row in inside if row["kind"] == kind) for kind in ("weights", "code", "stack")
        }
        kinds["arena"] = sum(arena["size"] for arena in manifest["arenas"] if arena["name"] == memory["name"])
        console.print(
            f"{memory['region']}: {', '.join(f'{kind} {exact(size)}' for kind, size in kinds.items() if size)}"
        )
    if manifest["copied_bytes"]:
        console.print(f"{exact(manifest['copied_bytes'])} are copied at start-up by {manifest['name']}_startup()")


def run_json(source: str, outcome: Outcome, written: Sequence[Path], *, as_float: bool) -> dict[str, Any]:
    """What happened; fields that only the emulator knows are null without it, and the other way round."""
    measured, comparison = outcome.measurement, outcome.comparison
    return {
        "model": source,
        "name": outcome.name,
        "target": outcome.target,
        "machine": None if measured is None else measured.machine,
        "kernels": outcome.kernels,
        "rung": outcome.rung,
        "macs": outcome.macs,
        "arena_bytes": outcome.arena_bytes,
        "milliseconds": outcome.milliseconds,
        "instructions": None if measured is None else measured.instructions,
        "cycles": None if measured is None else measured.cycles,
        "stack_bytes": None if measured is None else measured.stack_bytes,
        "stack_bound_bytes": None if measured is None else measured.stack_bound,
        "memory_words": None if measured is None else dict(measured.inferences[0].memory_words) or None,
        "outside_accesses": None if measured is None else measured.outside_accesses,
        "random_inputs": outcome.made_up,
        "bit_exact": None if comparison is None else comparison.exact,
        "equal": None if comparison is None else comparison.same,
        "largest_difference": None if comparison is None else comparison.largest_difference,
        "outputs": [_output_json(outcome, n, as_float) for n in range(len(outcome.outputs))],
        "files": list(map(str, written)),
        "notices": list(outcome.notices),
    }


def shown(outcome: Outcome, *, as_float: bool) -> tuple[Array, ...]:
    """The outputs, as real numbers if wanted."""
    pairs = zip(outcome.outputs, outcome.ports, strict=True)
    return tuple(real(array, port) if as_float else array for array, port in pairs)


def _output_json(outcome: Outcome, number: int, as_float: bool) -> dict[str, Any]:
    array, port = shown(outcome, as_float=as_float)[number], outcome.ports[number]
    value: dict[str, Any] = {"name": port.name, "dtype": str(array.dtype), "shape": list(array.shape)}
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    for key, function in (("min", np.min), ("mean", np.mean), ("max", np.max)):
        value[key] = float(function(finite)) if finite.size else None
    value["top"] = [{"index": index, "value": _plain(array.reshape(-1)[index])} for index in top(array)]
    return value


def top(array: Array) -> list[int]:
    """Indices of the largest elements of a vector, largest first; none of what is no vector."""
    if array.size < 2 or max(array.shape) != array.size or array.dtype.kind == "b":
        return []
    flat = np.nan_to_num(array.reshape(-1).astype(np.float64), nan=-np.inf)
    return [int(index) for index in np.argsort(-flat, kind="stable")[:TOP]]


def _plain(value: Any) -> float | int | None:
    if isinstance(value, np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value)


def print_run(value: Mapping[str, Any]) -> None:
    """A short table of `run_json`'s value."""
    console = _console()
    where = "this machine" if value["machine"] is None else f"{value['machine']} ({value['target']}, emulated)"
    console.print(f"{value['name']} on {where}, {value['kernels']} kernels, rung {value['rung']}")
    if value["random_inputs"]:
        console.print("No --input: the inputs are random data, the same every time.")
    table = Table(box=None, pad_edge=False)
    for column in ("output", "type", "shape", "min", "mean", "max", "largest"):
        table.add_column(column)
    for output in value["outputs"]:
        largest = "  ".join(f"{best['index']}: {_short(best['value'])}" for best in output["top"])
        shape = " x ".join(map(str, output["shape"])) or "scalar"
        numbers = (_short(output[key]) for key in ("min", "mean", "max"))
        table.add_row(escape(short_name(output["name"], 40)), output["dtype"], shape, *numbers, largest)
    console.print(table)
    _print_costs(console, value)
    for path in value["files"]:
        console.print(f"Wrote {escape(path)}")
    _print_notices(console, value["notices"])


def _print_costs(console: Console, value: Mapping[str, Any]) -> None:
    facts = [f"{value['macs']:,} multiply-accumulates", f"arena {exact(value['arena_bytes'])}"]
    if value["milliseconds"] is not None:
        facts.append(f"{value['milliseconds']:.3f} ms on this machine")
    if value["instructions"] is not None:
        facts.append(f"{value['instructions']:,} instructions")
        facts += [f"{value['cycles']:,} cycles"] if value["cycles"] is not None else []
        facts.append(f"stack {exact(value['stack_bytes'])}")
        facts.append(f"{value['outside_accesses']} accesses outside its memory")
    console.print(", ".join(facts))
    if value["bit_exact"] is not None:
        verdict = "bit-exact with" if value["bit_exact"] else "equal but for rounding to" if value["equal"] else ""
        text = f"{verdict} the NumPy reference" if verdict else "DIFFERS from the NumPy reference"
        worst = "" if value["bit_exact"] else f", by {value['largest_difference']:g} at most"
        console.print(text[0].upper() + text[1:] + worst)


def _short(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _print_notices(console: Console, notices: Sequence[str]) -> None:
    for notice in notices:
        console.print(f"Note: {escape(notice)}")
