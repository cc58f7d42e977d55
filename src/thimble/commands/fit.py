# SPDX-License-Identifier: Apache-2.0
"""`thimble fit`: does it fit, and at which price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

HELP = """Say whether a model fits a board, which operator is in the way, and the cheapest rung of the ladder that fits.

  thimble fit model.tflite --board nucleo-l4r5zi

  thimble fit model.tflite --max-ram 256k --max-flash 1M --target cortex-m4 --json

  thimble fit model.tflite --board arduino-nano --runtime tflm

Rungs 0 to 2 are stock TFLM; the rungs above are compiled code, tried one by one until one fits. The last line is the
command that makes what was chosen.
Exit code 0: it fits; 1: it does not; 2: error.
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file, or 'demo' for the model that ships with Thimble.")],
    board: Annotated[
        str | None, typer.Option(help="A board (`thimble boards` lists them) or your own board file (.toml).")
    ] = None,
    max_ram: Annotated[str | None, typer.Option(help="RAM instead of a board's: 262144, 256k, 0.25M.")] = None,
    max_flash: Annotated[str | None, typer.Option(help="Flash instead of a board's.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Core whose kernels run the model; the board's, else cortex-m4.")
    ] = None,
    runtime: Annotated[
        Literal["any", "tflm", "thimble"], typer.Option(help="Who may run the model: stock TFLM, or compiled code.")
    ] = "any",
    all_rungs: Annotated[
        bool, typer.Option("--all-rungs", help="Compute the rungs above the chosen one as well.")
    ] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw to FILE.png or FILE.svg; the arena over time goes to FILE-arena.png (or .svg)."),
    ] = None,
) -> None:
    """See HELP."""
    from thimble import pipeline, report, report_ladder
    from thimble.climb import climb
    from thimble.commands.progress import progress
    from thimble.judge import judge
    from thimble.units import parse_bytes

    loaded = pipeline.load(model, batch=batch)
    ram = None if max_ram is None else parse_bytes(max_ram, "--max-ram")
    flash = None if max_flash is None else parse_bytes(max_flash, "--max-flash")
    device, limits, core = pipeline.device_of(board, ram, flash, target)
    wanted = None if runtime == "any" else runtime
    with progress() as watch:
        steps = climb(loaded, core)
        verdict = judge(loaded, steps, device, limits, core, runtime=wanted, all_rungs=all_rungs, watch=watch)
    pictures: tuple[Path, ...] = ()
    if plot is not None:
        shipped = pipeline.memory_map(loaded, target=core.name)
        pictures = report.write_pictures(loaded, pipeline.best_maps(shipped, steps), steps, plot)
    asked = report_ladder.Asked(model, loaded.name, board, target, batch)
    if json:
        report.print_json(report_ladder.verdict_json(verdict, asked))
    else:
        report_ladder.print_verdict(loaded, verdict, asked, pictures)
    raise typer.Exit(0 if verdict.fits else 1)
