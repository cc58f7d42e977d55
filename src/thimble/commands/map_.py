# SPDX-License-Identifier: Apache-2.0
"""`thimble map`: tensor memory mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Show what each operator needs in memory, and why the peak is where it is.

  thimble map model.tflite

  thimble map model.tflite --plot map.png --csv map.csv

  thimble map model.tflite --target cortex-m4 --json
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file, or 'demo' for the model that ships with Thimble.")],
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs/--no-keep-inputs", help="The caller's input must survive the inference.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write one row per operator to this file.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw to FILE.png or FILE.svg; the arena over time goes to FILE-arena.png (or .svg)."),
    ] = None,
    lifetimes: Annotated[
        bool,
        typer.Option("--lifetimes", help="Also list the tensors: bytes, and from which operator to which they live."),
    ] = False,
    order: Annotated[
        str, typer.Option(help="'shipped', or a file with the operators' indices in the order to run them.")
    ] = "shipped",
    target: Annotated[
        str | None, typer.Option(help="Count the scratch memory of this target's kernels (cortex-m4, host, ...).")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
) -> None:
    """See HELP."""
    from thimble import pipeline, report
    from thimble.climb import climb
    from thimble.target import target_named

    loaded = pipeline.load(model, batch=batch)
    maps = pipeline.memory_maps(loaded, order=order, target=target, keep_inputs=keep_inputs)
    if csv is not None:
        report.write_csv(maps[0], csv)
    core = target or pipeline.DEFAULT_TARGET
    steps = climb(loaded, target_named(core))
    rungs = tuple(step.rung for step in steps)
    pictures = () if plot is None else report.write_pictures(loaded, pipeline.best_maps(maps[0], steps), steps, plot)
    if json:
        report.print_json(report.map_json(loaded, maps, rungs, core))
    else:
        report.print_map(loaded, maps, rungs, core, pictures, lifetimes=lifetimes)
