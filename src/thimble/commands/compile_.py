# SPDX-License-Identifier: Apache-2.0
"""`thimble compile`: a model as C code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Compile a model to C11: no heap, no interpreter, one static arena.

  thimble compile model.tflite --board nucleo-l4r5zi -o model_c

  thimble compile model.tflite --target cortex-m4 --optimize size --tune mps2-an386 -o model_c

  thimble compile model.tflite --target cortex-m55 --package zephyr --name wake_word -o wake_word

  thimble compile model.tflite --board apollo4-plus --place energy -o model_c

  cd model_c && cmake -B build && cmake --build build && ctest --test-dir build

The folder holds sources, a self-test, build files, a linker-script fragment, manifest.json and README.md. It is written
whole or not at all; an earlier bundle there is replaced, your own files in it stay.
Exit code 0: compiled; 1: compiled, but it does not fit the board; 2: error.
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file, or 'demo' for the model that ships with Thimble.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    board: Annotated[
        str | None, typer.Option(help="A board (`thimble boards` lists them) or your own board file (.toml).")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Core to compile for: cortex-m4, riscv32, avr, host, ...")] = None,
    rung: Annotated[
        int | None,
        typer.Option(help="Rung of the ladder; without: the cheapest that fits the board, 3 with --target alone."),
    ] = None,
    kernels: Annotated[
        str | None, typer.Option(help="portable, dsp, mve or cmsis-nn; without: what suits the core.")
    ] = None,
    optimize: Annotated[
        str, typer.Option(help="balanced, speed, ram or size: what the choice of kernels is to make small.")
    ] = "balanced",
    tune: Annotated[
        str | None,
        typer.Option(help="Choose by instructions counted on an emulated machine (mps2-an386, ...), not by estimates."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C names; without: the model's name.")] = None,
    package: Annotated[str, typer.Option(help="cmake, zephyr, arduino or esp-idf.")] = "cmake",
    max_macs: Annotated[
        str, typer.Option("--max-macs", help="Most multiply-accumulates of rung 6, relative to the model's: 1.15x.")
    ] = "1.15x",
    stream_input: Annotated[
        bool, typer.Option("--stream-input", help="The application hands over an image row by row (rung 5 or 6).")
    ] = False,
    stream_output: Annotated[
        bool, typer.Option("--stream-output", help="The application takes an image row by row (rung 5 or 6).")
    ] = False,
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs/--no-keep-inputs", help="The caller's input must survive the inference.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that holds other files; those stay.")
    ] = False,
    place: Annotated[
        str | None,
        typer.Option(help="latency, energy or mix: everything in the board's memory that serves it best (rung 3)."),
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """See HELP."""
    from thimble import produce, report, report_compile
    from thimble.commands.progress import progress
    from thimble.front import most_macs

    with progress() as watch:
        bundle = produce.compile_bundle(
            model,
            output,
            board=board,
            target=target,
            rung=rung,
            kernels=kernels,
            optimize=optimize,
            tune=tune,
            name=name,
            package=package,
            keep_inputs=keep_inputs,
            force=force,
            batch=batch,
            place=place,
            stream_input=stream_input,
            stream_output=stream_output,
            max_macs=most_macs(max_macs),
            watch=watch,
        )
    if json:
        report.print_json(report_compile.compile_json(output, bundle.manifest))
    else:
        report_compile.print_compile(output, bundle.manifest)
    raise typer.Exit(1 if bundle.manifest["fits"] is False else 0)
