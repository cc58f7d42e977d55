# SPDX-License-Identifier: Apache-2.0
"""`thimble fitrate`: how many models fit a memory, rung by rung."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Say how many models fit a memory that holds weights and activations, before and after each rung.

  thimble fitrate models/ --size 2M,4M

  thimble fitrate a.tflite b.tflite --size 512k --csv needs.csv --plot rates.png

  thimble fitrate --zoo --size 2M,4M --json

Rungs 0 to 2 are stock TFLM's plans with reference kernels, those above compiled code; each rung counts the best up to
it. A model climbs only until it fits every size, or its weights alone do not. Models that cannot be read, planned or
compiled are listed with the reason.
"""


def command(
    models: Annotated[
        list[str] | None, typer.Argument(help="Model files, and folders with model files.", show_default=False)
    ] = None,
    size: Annotated[str, typer.Option(help="Sizes of the memory, separated by commas.")] = "2M,4M",
    zoo: Annotated[bool, typer.Option("--zoo", help="Also the project's own builds of known architectures.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write one row per model to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw to FILE.png or FILE.svg.")] = None,
) -> None:
    """See HELP."""
    from thimble import fitrate, pipeline, report, report_ladder
    from thimble import plot as pictures
    from thimble.commands.progress import progress
    from thimble.files import write_atomically
    from thimble.units import parse_bytes

    sizes = [parse_bytes(part, "--size") for part in size.split(",")]
    with progress() as watch:
        found = pipeline.fit_rates(models or (), zoo=zoo, sizes=sizes, watch=watch)
    if csv is not None:
        write_atomically(csv, fitrate.table(found, sizes).encode())
    if plot is not None:
        pictures.draw_rates(found, sizes, plot)
    if json:
        report.print_json(report_ladder.fitrate_json(found, sizes))
    else:
        report_ladder.print_fitrate(found, sizes, plot)
