# SPDX-License-Identifier: Apache-2.0
"""`thimble boards`: the devices that Thimble knows, and checking one's own."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help=(
        "List the boards, show one with the source of each number, check your own file, hold a model against all.\n\n"
        "  thimble boards\n\n  thimble boards show nucleo-l4r5zi\n\n  thimble boards check my_board.toml\n\n"
        "  thimble boards compare model.tflite"
    ),
)


@app.callback()
def list_boards(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List all boards with core, RAM and flash."""
    if context.invoked_subcommand is not None:
        return
    from thimble import report
    from thimble.board import board_names, load_board

    boards = [load_board(name) for name in board_names()]
    if json:
        report.print_json({"boards": [report.board_summary(board) for board in boards]})
    else:
        report.print_boards(boards)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Board name, or a .toml file.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    toml: Annotated[bool, typer.Option("--toml", help="Print the board file itself, to start your own from.")] = False,
) -> None:
    """Show a board: core, memories, and where each number comes from."""
    from thimble import report
    from thimble.board import board_text, load_board

    if toml:
        print(board_text(name), end="")
    elif json:
        report.print_json(report.board_json(load_board(name)))
    else:
        report.print_board(load_board(name))


@app.command("check")
def check(file: Annotated[str, typer.Argument(help="A board file (.toml).")]) -> None:
    """Check a board file: exit code 0 if it is sound, 2 with the reason if not."""
    from thimble.board import load_board
    from thimble.target import target_named

    board = load_board(file)
    target_named(board.target)
    print(f"{file}: sound: {board.title}, {len(board.regions)} memories, one arena of up to {board.ram_span():,} bytes")


@app.command("compare")
def compare(
    model: Annotated[str, typer.Argument(help="A .tflite file, or 'demo' for the model that ships with Thimble.")],
    board: Annotated[
        list[str] | None, typer.Option(help="Only this board, by name or as a .toml file; may be given several times.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Size of a dynamic batch dimension.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Hold a model against all boards: whether it fits, rung, RAM, flash, latency and energy, the fastest first."""
    from thimble import pipeline, report, report_place
    from thimble.board import board_names
    from thimble.compare import compared

    loaded = pipeline.load(model, batch=batch)
    rows = compared(loaded, board or board_names())
    if json:
        report.print_json(report_place.compare_json(loaded.name, rows))
    else:
        report_place.print_compare(loaded.name, rows)
