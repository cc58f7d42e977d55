# SPDX-License-Identifier: Apache-2.0
"""`thimble ladder`: what less memory costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Show what less memory costs: the arena of each rung as compiled code, and its price.

  thimble ladder model.tflite

  thimble ladder model.tflite --target cortex-m55 --max-macs 1.1x --plot ladder.png

  thimble ladder model.tflite --emulate mps2-an386 --json

Prices are multiply-accumulates, flash as linked (where the target's compiler is installed) and, with --emulate, the
instructions of one inference. Rungs that need no less memory than a cheaper one are listed, but not on the front.
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file, or 'demo' for the model that ships with Thimble.")],
    board: Annotated[
        str | None, typer.Option(help="A board (`thimble boards` lists them) or your own board file (.toml).")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Core to compile for; the board's or the machine's, else cortex-m4.")
    ] = None,
    kernels: Annotated[
        str | None, typer.Option(help="portable, dsp, mve or cmsis-nn; without: what suits the core.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(help="The most multiply-accumulates, relative to the model's: 1.1x.")
    ] = None,
    emulate: Annotated[
        str | None, typer.Option(help="Count instructions on an emulated machine: mps2-an386, mps3-an547, ...")
    ] = None,
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs/--no-keep-inputs", help="The caller's input must survive the inference.")
    ] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw to FILE.png or FILE.svg.")] = None,
) -> None:
    """See HELP."""
    from thimble import pipeline, report, report_ladder
    from thimble import plot as pictures
    from thimble.commands.progress import progress
    from thimble.front import most_macs

    most = None if max_macs is None else most_macs(max_macs)
    loaded = pipeline.load(model, batch=batch)
    with progress() as watch:
        core, points = pipeline.ladder(
            loaded,
            board=board,
            target=target,
            kernels=kernels,
            machine=emulate,
            max_macs=most,
            keep_inputs=keep_inputs,
            watch=watch,
        )
    if plot is not None:
        pictures.draw_front(loaded.name, points, plot)
    if json:
        report.print_json(report_ladder.ladder_json(loaded, points, core, emulate))
    else:
        report_ladder.print_ladder(loaded, points, core, emulate, plot)
