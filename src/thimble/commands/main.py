# SPDX-License-Identifier: Apache-2.0
"""The `thimble` command: its verbs, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import thimble
from thimble.commands import boards, compile_, fit, fitrate, ladder, map_, optimize, pack, place
from thimble.commands import run as run_
from thimble.errors import InternalError, ThimbleError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "Fit neural networks into the memory of tiny devices.\n\n"
        "  thimble fit model.tflite --board nucleo-l4r5zi\n\n"
        "  thimble compile model.tflite --board nucleo-l4r5zi -o model_c\n\n"
        "Exit codes: 0 yes, 1 no (does not fit), 2 error."
    ),
)
app.command("fit", help=fit.HELP, no_args_is_help=True)(fit.command)
app.command("ladder", help=ladder.HELP, no_args_is_help=True)(ladder.command)
app.command("fitrate", help=fitrate.HELP, no_args_is_help=True)(fitrate.command)
app.command("map", help=map_.HELP, no_args_is_help=True)(map_.command)
app.command("optimize", help=optimize.HELP, no_args_is_help=True)(optimize.command)
app.command("compile", help=compile_.HELP, no_args_is_help=True)(compile_.command)
app.command("run", help=run_.HELP, no_args_is_help=True)(run_.command)
app.command("pack", help=pack.HELP, no_args_is_help=True)(pack.command)
app.command("place", help=place.HELP, no_args_is_help=True)(place.command)
app.add_typer(boards.app, name="boards")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"thimble {thimble.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of the command itself; each verb has its own."""


def run() -> None:
    """Entry point. No traceback ever reaches a user."""
    try:
        app()
    except ThimbleError as error:
        _stop(str(error))
    except InternalError as error:
        _stop(f"a bug in Thimble, not in your model: {error}. Please report it, with the model if you can.")
    except OSError as error:
        _stop(f"{error.filename or 'output'}: {error.strerror or error}")
    except MemoryError:
        _stop("the model is too large for this machine's memory")
    except Exception as error:  # whatever it is, it is ours
        if os.environ.get("THIMBLE_DEBUG"):
            raise
        _stop(f"a bug in Thimble: {type(error).__name__}: {error}. Please report it; THIMBLE_DEBUG=1 shows where.")


def _stop(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
