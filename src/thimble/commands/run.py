# SPDX-License-Identifier: Apache-2.0
"""`thimble run`: compile for this machine or an emulated one, and run at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Compile a model for this machine, or an emulated one, and run it.

  thimble run model.tflite --input x.npy -o y.npy

  thimble run model.tflite --compare

  thimble run model.tflite --input x.npy --emulate mps2-an386 --json

  thimble run model_c --input x.npy --float

The second holds the outputs against the NumPy reference; the third counts instructions on an emulated Cortex-M4; the
last runs a folder that `thimble compile` wrote. Without --input the inputs are random data, the same every time.
Exit code 0: done; 1: --compare found a difference, or the code left its memory; 2: error.
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file, 'demo', or a folder that `thimble compile` wrote.")],
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", help="A .npy file; repeat it for further inputs, in the model's order."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the output here; further ones go to NAME_1.npy, NAME_2.npy, ..."),
    ] = None,
    as_float: Annotated[
        bool, typer.Option("--float", help="Real numbers in and out, by the model's scales and zero points.")
    ] = False,
    emulate: Annotated[
        str | None, typer.Option(help="Run on an emulated machine: mps2-an386, mps3-an547, microbit, ...")
    ] = None,
    rung: Annotated[int | None, typer.Option(help="Rung of the ladder.")] = None,
    kernels: Annotated[
        str | None, typer.Option(help="portable, dsp, mve or cmsis-nn; without: what suits the machine.")
    ] = None,
    optimize: Annotated[
        str | None, typer.Option(help="balanced, speed, ram or size: what the choice of kernels is to make small.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(help="With --emulate: latency, energy or mix; everything in the memory that serves it best."),
    ] = None,
    max_macs: Annotated[
        str, typer.Option("--max-macs", help="Most multiply-accumulates of rung 6, relative to the model's: 1.15x.")
    ] = "1.15x",
    stream_input: Annotated[
        bool, typer.Option("--stream-input", help="Hand the input over row by row (rung 5 or 6).")
    ] = False,
    stream_output: Annotated[
        bool, typer.Option("--stream-output", help="Take the output row by row (rung 5 or 6).")
    ] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Hold the outputs against the NumPy reference.")] = False,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """See HELP."""
    from thimble import produce, report, report_compile
    from thimble.front import most_macs
    from thimble.inference import write_outputs

    outcome = produce.run(
        model,
        inputs or (),
        rung=rung,
        as_float=as_float,
        machine=emulate,
        compare=compare,
        kernels=kernels,
        optimize=optimize,
        batch=batch,
        place=place,
        stream_input=stream_input,
        stream_output=stream_output,
        max_macs=most_macs(max_macs),
    )
    arrays = report_compile.shown(outcome, as_float=as_float)
    written = () if output is None else write_outputs(output, arrays)
    value = report_compile.run_json(model, outcome, written, as_float=as_float)
    if json:
        report.print_json(value)
    else:
        report_compile.print_run(value)
    raise typer.Exit(1 if value["equal"] is False or value["outside_accesses"] else 0)
