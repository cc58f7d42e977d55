# SPDX-License-Identifier: Apache-2.0
"""Packing problems as CSV: what is read, what is written, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from strategies import problems
from thimble.csvio import ProblemFile, ProblemFileError, format_solution, parse_problem, read_problem
from thimble.memory import Arena, Buffer, BufferId, Interval, Problem, Solution
from thimble.pack import pack

EXAMPLE = "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\nb3,0,9,4\nb4,9,21,4\nb5,0,21,4\n"


def test_the_example_of_minimalloc_is_packed_and_written() -> None:
    file = parse_problem(EXAMPLE, capacity=12)
    solution = pack(file.problem)
    assert isinstance(solution, Solution)
    assert solution.height == 12
    # b5 lives throughout and lies at the bottom.
    assert format_solution(file, solution).splitlines()[0] == "id,lower,upper,size,offset"
    assert format_solution(file, solution).splitlines()[5] == "b5,0,21,4,0"


def test_every_column_is_read() -> None:
    text = "size,id,offset,gaps,alignment,hint,upper,lower\n64, x ,128,2-4 6-7,16,5,9,1\n8,y,-1,,,,2,0\n8,z,,,,,2,0\n"
    file = parse_problem(text)
    x = Buffer(BufferId(0), 64, Interval(1, 9), 16, (Interval(2, 4), Interval(6, 7)), 128)
    y, z = (Buffer(BufferId(i), 8, Interval(0, 2)) for i in (1, 2))
    assert file == ProblemFile(("x", "y", "z"), Problem((x, y, z), (Arena("arena", None),)))


@given(problems(bounded=False))
def test_what_is_written_reads_back(problem: Problem) -> None:
    file = ProblemFile(tuple(f"b{i}" for i in range(len(problem.buffers))), problem)
    solution = pack(problem)
    if isinstance(solution, Solution):
        again = parse_problem(format_solution(file, solution))
        assert again.names == file.names
        assert tuple(b.offset for b in again.problem.buffers) == solution.offsets
        kept = [(b.size, b.lifetime, b.alignment, b.gaps) for b in problem.buffers]
        assert [(b.size, b.lifetime, b.alignment, b.gaps) for b in again.problem.buffers] == kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.csv: is empty"),
        ("id,lower,upper\n", r"p.csv:1: the column 'size' is missing \(found id, lower, upper\)"),
        ("id,lower,upper,size,colour\n", "p.csv:1: unknown column 'colour'"),
        ("id,lower,upper,size,size\n", "p.csv:1: the column 'size' appears twice"),
        ("id,lower,upper,size\na,0,1\n", "p.csv:2: has 3 fields, the header has 4"),
        ("id,lower,upper,size\n\na,0,1,4\na,0,1,4\n", "p.csv:4: id 'a' was used in line 3"),
        ("id,lower,upper,size\na,0,1,x\n", "p.csv:2: size must be a whole number from 0 to 2.62 - 1, not 'x'"),
        ("id,lower,upper,size\na,0,1,-4\n", "p.csv:2: size must be a whole number"),
        ("id,lower,upper,size\na,0,1," + "9" * 5000 + "\n", "p.csv:2: size must be a whole number"),
        ("id,lower,upper,size\na,1,1,4\n", "p.csv:2: lower 1 is not below upper 1"),
        ("id,lower,upper,size,alignment\na,0,1,4,0\n", "p.csv:2: alignment must be at least 1, not 0"),
        (
            "id,lower,upper,size,alignment,offset\na,0,1,4,4,2\n",
            "p.csv:2: offset 2 is not a multiple of",
        ),
        ("id,lower,upper,size,gaps\na,0,9,4,2\n", "p.csv:2: gap '2' must read START-STOP"),
        ("id,lower,upper,size,gaps\na,0,9,4,2-x\n", "p.csv:2: gap must be a whole number"),
        ("id,lower,upper,size,gaps\na,0,9,4,7-12\n", "p.csv:2: gap '7-12' is empty or leaves the lifetime"),
        ("id,lower,upper,size,gaps\na,0,9,4,2-4@0:2\n", "p.csv:2: gap '2-4@0:2' keeps part of the buffer"),
        ('id,lower,upper,size\n"a,0,1,4\n', "p.csv:2: is not CSV"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ProblemFileError, match=message):
        parse_problem(text, source="p.csv")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemFileError, match=r"none\.csv: cannot be read \(No such file"):
        read_problem(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"id\xff\xfe")
    with pytest.raises(ProblemFileError, match=r"binary\.csv: is not UTF-8"):
        read_problem(tmp_path / "binary.csv")
    (tmp_path / "good.csv").write_text(EXAMPLE, encoding="utf-8")
    assert read_problem(tmp_path / "good.csv", capacity=12) == parse_problem(EXAMPLE, capacity=12)
