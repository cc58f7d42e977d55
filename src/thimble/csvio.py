# SPDX-License-Identifier: Apache-2.0
"""Packing problems as CSV, in the format of MiniMalloc, so that anyone can compare.

    id,lower,upper,size,alignment,gaps,offset
    b1,0,9,4096,16,2-4 6-7,
    b2,3,12,1024,16,,8192

`lower` and `upper` bound the half-open lifetime; `alignment` (1), `gaps` (none, separated by spaces) and `offset`
(not fixed; also -1) may be empty or absent. A `hint` column is read over.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thimble.errors import ThimbleError
from thimble.memory import Arena, Buffer, BufferId, Interval, Problem, Solution

_REQUIRED = ("id", "lower", "upper", "size")
_OPTIONAL = ("alignment", "hint", "gaps", "offset")
_LARGEST = 2**62 - 1


class ProblemFileError(ThimbleError):
    """A packing problem that cannot be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class ProblemFile:
    """A problem with the names that its file gives to the buffers, in the file's order."""

    names: tuple[str, ...]
    problem: Problem


def read_problem(path: Path, *, capacity: int | None = None) -> ProblemFile:
    """Read a packing problem from a file.

    Raises:
        ProblemFileError: the file cannot be read or is not what the format allows.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProblemFileError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ProblemFileError(f"{path}: is not UTF-8 text") from error
    return parse_problem(text, source=str(path), capacity=capacity)


def parse_problem(text: str, *, source: str = "problem", capacity: int | None = None) -> ProblemFile:
    """Parse a packing problem; `source` is what messages call it. Blank lines are passed over.

    Raises:
        ProblemFileError: naming `source` and the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as error:
        raise ProblemFileError(f"{source}:{reader.line_num}: is not CSV ({error})") from error
    if not rows:
        raise ProblemFileError(f"{source}: is empty; the first line must name the columns {', '.join(_REQUIRED)}")
    columns = _columns(rows[0][1], f"{source}:{rows[0][0]}")
    names: dict[str, int] = {}
    buffers: list[Buffer] = []
    for line, row in rows[1:]:
        where = f"{source}:{line}"
        if len(row) != len(columns):
            raise ProblemFileError(f"{where}: has {len(row)} fields, the header has {len(columns)}")
        fields = dict(zip(columns, (field.strip() for field in row), strict=True))
        if fields["id"] in names:
            raise ProblemFileError(f"{where}: id '{fields['id']}' was used in line {names[fields['id']]}")
        names[fields["id"]] = line
        buffers.append(_buffer(BufferId(len(buffers)), fields, where))
    return ProblemFile(tuple(names), Problem(tuple(buffers), (Arena("arena", capacity),)))


def format_solution(file: ProblemFile, solution: Solution) -> str:
    """The problem as CSV with the solution's `offset` column; optional columns only where some buffer needs them."""
    buffers = file.problem.buffers
    optional = [
        *(["alignment"] if any(b.alignment != 1 for b in buffers) else []),
        *(["gaps"] if any(b.gaps for b in buffers) else []),
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_REQUIRED, *optional, "offset"])
    for name, buffer, offset in zip(file.names, buffers, solution.offsets, strict=True):
        extra = {
            "alignment": str(buffer.alignment),
            "gaps": " ".join(f"{gap.start}-{gap.stop}" for gap in buffer.gaps),
        }
        lifetime = buffer.lifetime
        writer.writerow([name, lifetime.start, lifetime.stop, buffer.size, *(extra[o] for o in optional), offset])
    return out.getvalue()


def _columns(header: Sequence[str], where: str) -> list[str]:
    columns = [name.strip() for name in header]
    for name in _REQUIRED:
        if name not in columns:
            raise ProblemFileError(f"{where}: the column '{name}' is missing (found {', '.join(columns)})")
    for name in columns:
        if name not in _REQUIRED + _OPTIONAL:
            allowed = ", ".join(_REQUIRED + _OPTIONAL)
            raise ProblemFileError(f"{where}: unknown column '{name}' (allowed: {allowed})")
        if columns.count(name) > 1:
            raise ProblemFileError(f"{where}: the column '{name}' appears twice")
    return columns


def _buffer(index: BufferId, fields: dict[str, str], where: str) -> Buffer:
    lower, upper = _integer(fields, "lower", where), _integer(fields, "upper", where)
    if lower >= upper:
        raise ProblemFileError(f"{where}: lower {lower} is not below upper {upper}")
    alignment = _integer(fields, "alignment", where) if fields.get("alignment") else 1
    if alignment < 1:
        raise ProblemFileError(f"{where}: alignment must be at least 1, not {alignment}")
    offset = _integer(fields, "offset", where) if fields.get("offset", "-1") not in ("", "-1") else None
    if offset is not None and offset % alignment:
        raise ProblemFileError(f"{where}: offset {offset} is not a multiple of the alignment {alignment}")
    return Buffer(
        id=index,
        size=_integer(fields, "size", where),
        lifetime=Interval(lower, upper),
        alignment=alignment,
        gaps=_gaps(fields.get("gaps", ""), Interval(lower, upper), where),
        offset=offset,
    )


def _integer(fields: dict[str, str], name: str, where: str) -> int:
    text = fields[name]
    # Ten times the digits of any allowed value: beyond that Python may refuse to convert at all.
    if not (text.isascii() and text.isdigit()) or len(text) > 200 or int(text) > _LARGEST:
        raise ProblemFileError(f"{where}: {name} must be a whole number from 0 to 2^62 - 1, not '{text[:40]}'")
    return int(text)


def _gaps(text: str, lifetime: Interval, where: str) -> tuple[Interval, ...]:
    gaps = []
    for item in text.split():
        if "@" in item:
            raise ProblemFileError(f"{where}: gap '{item}' keeps part of the buffer (@), which is not supported")
        start, dash, stop = item.partition("-")
        if not dash:
            raise ProblemFileError(f"{where}: gap '{item}' must read START-STOP")
        bounds = {"gap": start}, {"gap": stop}
        gap = Interval(_integer(bounds[0], "gap", where), _integer(bounds[1], "gap", where))
        if not lifetime.start <= gap.start < gap.stop <= lifetime.stop:
            raise ProblemFileError(f"{where}: gap '{item}' is empty or leaves the lifetime")
        gaps.append(gap)
    return tuple(gaps)
