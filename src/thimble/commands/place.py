# SPDX-License-Identifier: Apache-2.0
"""`thimble place`: which memory holds what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Say which memory holds what, and what an inference then takes.

  thimble place model.tflite --board apollo4-plus

  thimble place model.tflite --board apollo4-plus --objective energy --period 1s

  thimble place model.tflite --board apollo4-plus --all --plot placements.png

Each weight array, tensor, step's code and the stack goes to a memory of the board; banks that nothing needs stay off.
Exit code 0: it fits; 1: it does not; 2: error.
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file, or 'demo' for the model that ships with Thimble.")],
    board: Annotated[str, typer.Option(help="A board (`thimble boards` lists them) or your own board file (.toml).")],
    objective: Annotated[str, typer.Option(help="What is to be least: latency, energy or mix.")] = "latency",
    runtime: Annotated[
        str, typer.Option(help="Who runs the model: thimble, tflm-reference, tflm-cmsis-nn, ...")
    ] = "thimble",
    period: Annotated[
        str | None, typer.Option(help="Time from one inference to the next (1s, 250ms); the core sleeps in between.")
    ] = None,
    every_pair: Annotated[
        bool, typer.Option("--all", help="Also every pair of one memory for weights and one for activations.")
    ] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw all pairs and the best placement: FILE.png, .svg.")] = None,
) -> None:
    """See HELP."""
    from thimble import pipeline, report, report_place
    from thimble.board import load_board
    from thimble.place_board import objective_named, pairs_of, placed_best, setting_of
    from thimble.placement import NoRoom
    from thimble.units import parse_seconds

    wanted = objective_named(objective)
    every = None if period is None else parse_seconds(period, "--period")
    loaded = pipeline.load(model, batch=batch)
    setting = setting_of(loaded, load_board(board), runtime=runtime, period=every)
    pairs = pairs_of(setting)
    best = placed_best(setting, wanted, pairs)
    value = report_place.Placement(loaded.name, wanted, setting, best, pairs)
    if plot is not None:
        report_place.write_picture(value, plot)
    if json:
        report.print_json(report_place.place_json(value, every_pair=every_pair))
    else:
        report_place.print_place(value, every_pair=every_pair, picture=plot)
    raise typer.Exit(1 if isinstance(best, NoRoom) else 0)
