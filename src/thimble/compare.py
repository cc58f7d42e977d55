# SPDX-License-Identifier: Apache-2.0
"""One model on many boards: whether it fits, at which rung, and how long an inference takes there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from thimble.board import Board, load_board
from thimble.climb import Step, climb
from thimble.errors import OptionError, UnsupportedOperatorError
from thimble.ir import Model
from thimble.judge import judge
from thimble.pipeline import device_of
from thimble.place_board import pairs_of, placed_best, setting_of
from thimble.placement import NoRoom
from thimble.target import Target


@dataclass(frozen=True, slots=True)
class BoardRow:
    """What a model needs of a board; `latency_ms` and `energy_uj` None where nothing is known, or it does not fit."""

    board: Board
    fits: bool
    rung: int | None
    runtime: str
    ram_bytes: int
    flash_bytes: int
    latency_ms: float | None = None
    energy_uj: float | None = None
    note: str = ""


def compared(model: Model, boards: Sequence[str]) -> tuple[BoardRow, ...]:
    """A row per board, given by name or path: those that it fits first, the fastest of them first.

    Latency and energy are those of compiled code in the placement of least latency.
    """
    rows = list(_rows(model, boards))
    slowest = float("inf")
    rows.sort(key=lambda r: (not r.fits, slowest if r.latency_ms is None else r.latency_ms, r.ram_bytes, r.board.name))
    return tuple(rows)


def _rows(model: Model, boards: Sequence[str]) -> Iterator[BoardRow]:
    climbed: dict[Target, tuple[Step, ...]] = {}
    for name in boards:
        board = load_board(name)
        _, limits, core = device_of(name, None, None, None)
        if core not in climbed:
            climbed[core] = climb(model, core)
        verdict = judge(model, climbed[core], board.title, limits, core)
        rung = None if verdict.chosen is None else verdict.chosen.rung
        row = BoardRow(board, verdict.fits, rung, verdict.runtime, verdict.ram_bytes, verdict.flash_bytes)
        yield _priced(row, model) if row.fits else row


def _priced(row: BoardRow, model: Model) -> BoardRow:
    try:
        setting = setting_of(model, row.board)
        placed = placed_best(setting, "latency", pairs_of(setting))
    except (OptionError, UnsupportedOperatorError) as error:
        return replace(row, note=str(error))
    if isinstance(placed, NoRoom):
        return replace(row, note="latency and energy are known for results in place of operands only, which do not fit")
    return replace(row, latency_ms=placed.latency_ms, energy_uj=placed.energy_uj)
