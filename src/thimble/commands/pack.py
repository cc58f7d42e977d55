# SPDX-License-Identifier: Apache-2.0
"""`thimble pack`: offsets for any buffers with lifetimes, in MiniMalloc's CSV format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Place buffers with known sizes and lifetimes in the least memory, and prove it.

  thimble pack problem.csv --capacity 1048576 -o placed.csv

  thimble pack problem.csv --require-proof --json

The file has the columns id,lower,upper,size and, if wanted, alignment, gaps and offset (MiniMalloc's format).
With --capacity the first placement within it is taken; without, the least height is searched for.
Exit code 0: placed; 1: it does not fit (a clashing set is printed), or not proven with --require-proof; 2: error.
"""


def command(
    file: Annotated[Path, typer.Argument(help="A .csv file.")],
    capacity: Annotated[str | None, typer.Option(help="Bytes to fit within: 1048576, 1M.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows with an offset column here.")
    ] = None,
    budget: Annotated[int | None, typer.Option(min=0, help="Search nodes to visit at most.")] = None,
    require_proof: Annotated[
        bool, typer.Option("--require-proof", help="Exit code 1 unless the height is proven least.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """See HELP."""
    import time

    from thimble import report
    from thimble.csvio import format_solution, read_problem
    from thimble.files import write_atomically
    from thimble.memory import Infeasible
    from thimble.pack import DEFAULT_BUDGET, pack
    from thimble.units import parse_bytes
    from thimble.verify_pack import verify_solution

    limit = None if capacity is None else parse_bytes(capacity, "--capacity")
    problem = read_problem(file, capacity=limit)
    start = time.perf_counter()
    solution = pack(problem.problem, budget=DEFAULT_BUDGET if budget is None else budget)
    seconds = time.perf_counter() - start
    placed = not isinstance(solution, Infeasible) and (limit is None or solution.height <= limit)
    if not isinstance(solution, Infeasible) and placed:
        verify_solution(problem.problem, solution)
        if output is not None:
            write_atomically(output, format_solution(problem, solution).encode())
    value = report.pack_json(problem, solution, limit, seconds)
    if json:
        report.print_json(value)
    else:
        report.print_pack(value)
    raise typer.Exit(0 if placed and (value["proven"] or not require_proof) else 1)
