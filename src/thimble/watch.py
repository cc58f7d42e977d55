# SPDX-License-Identifier: Apache-2.0
"""Who is told about the progress of a longer computation."""

from __future__ import annotations

from collections.abc import Callable

Watch = Callable[[float, int, str], None]
"""Told how many parts of a longer computation are done, of how many, and what is being done now."""


def unwatched(done: float, parts: int, now: str) -> None:
    """A `Watch` that tells nobody."""


def within(watch: Watch, before: int, parts: int, title: str = "") -> Watch:
    """A watch on one part of what is being watched; `before` are those before it."""

    def inner(done: float, of: int, now: str) -> None:
        watch(before + done / max(1, of), parts, f"{title}: {now}" if title else now)

    return inner
