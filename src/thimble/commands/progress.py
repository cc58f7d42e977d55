# SPDX-License-Identifier: Apache-2.0
"""Progress of a longer computation: a line on standard error, if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thimble.watch import Watch


@contextmanager
def progress() -> Iterator[Watch]:
    """A bar for as long as the block runs; what the block gets is told what is done of how much."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    hidden = not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)

        def watch(done: float, parts: int, now: str) -> None:
            bar.update(task, completed=done, total=parts, description=now)

        yield watch
