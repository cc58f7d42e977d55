# SPDX-License-Identifier: Apache-2.0
"""`thimble optimize`: the same model in less memory, for stock TFLM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Write a model that stock TFLM runs in less memory: operators reordered, a memory plan in the file.

  thimble optimize model.tflite -o small.tflite

  thimble optimize model.tflite -o small.tflite --target cortex-m55 --json

The plan is TFLM's OfflineMemoryAllocation metadata; nothing else in the file changes. Where TFLM's own planner does
as well, no plan is written, and the file is copied.

With --in-place, results of elementwise operators and reshapes take the place of an operand that dies. That is right
with TFLM's reference and CMSIS-NN kernels, which were read for it; with a vendor's own kernels it may not be.
"""


def command(
    model: Annotated[str, typer.Argument(help="A .tflite file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; not the input.")],
    target: Annotated[
        list[str] | None,
        typer.Option(help="Core whose kernels are planned for; may be repeated. Without: a plan that serves all."),
    ] = None,
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs/--no-keep-inputs", help="The caller's input must survive the inference.")
    ] = False,
    in_place: Annotated[
        bool, typer.Option("--in-place/--no-in-place", help="Let safe operators write over an operand that dies.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """See HELP."""
    from thimble import pipeline, report

    targets = target or pipeline.PORTABLE
    steps = pipeline.optimize(model, output, targets=targets, keep_inputs=keep_inputs, in_place=in_place)
    if json:
        report.print_json(report.optimize_json(model, output, steps))
    else:
        report.print_optimize(output, steps)
