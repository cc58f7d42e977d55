# SPDX-License-Identifier: Apache-2.0
"""The packer against brute force, against its verifier, and on instances whose answer is known."""

from __future__ import annotations

import csv
import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import MODELS
from strategies import problems
from thimble import _core
from thimble.errors import InternalError, OptionError
from thimble.memory import Arena, Buffer, BufferId, Distance, Infeasible, Interval, Problem, Solution
from thimble.pack import pack
from thimble.verify_pack import faults, verify_solution

MINIMALLOC = MODELS.parent / "data" / "minimalloc"
CAPACITY = 1_048_576


def problem_of(*rows: tuple[int, int, int], capacity: int | None = None) -> Problem:
    """Buffers from (size, start, stop)."""
    drawn = tuple(Buffer(BufferId(i), size, Interval(start, stop)) for i, (size, start, stop) in enumerate(rows))
    return Problem(drawn, (Arena("arena", capacity),))


# ------------------------------------------------------------------ references: slow, obvious, only for tests


def reference_greedy(sizes: list[int], first: list[int], last: list[int], offline: list[int]) -> list[int]:
    """TFLM's greedy planner, as its source reads."""
    fixed = [i for i, offset in enumerate(offline) if offset != -1]
    online = [i for i, offset in reversed(list(enumerate(offline))) if offset == -1]
    offsets: dict[int, int] = {}
    for i in fixed + sorted(online, key=lambda i: -sizes[i]):
        at = 0
        for j in sorted(offsets, key=offsets.__getitem__):  # stable: in the order of placement at equal offsets
            if first[j] > last[i] or first[i] > last[j]:
                continue
            if offline[i] != -1 or offsets[j] - at >= sizes[i]:
                break
            at = max(at, offsets[j] + sizes[j])
        offsets[i] = at if offline[i] == -1 else offline[i]
    return [offsets[i] for i in range(len(sizes))]


def placements(problem: Problem, capacities: list[int]) -> Iterator[Solution]:
    """Every placement within the capacities, by trying all offsets of all buffers."""

    def extend(chosen: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        if len(chosen) == len(problem.buffers):
            yield chosen
            return
        buffer = problem.buffers[len(chosen)]
        part = dataclasses.replace(problem, buffers=problem.buffers[: len(chosen) + 1])
        known = {b.id for b in part.buffers}
        part = dataclasses.replace(part, distances=tuple(d for d in part.distances if {d.early, d.late} <= known))
        for arena, capacity in enumerate(capacities):
            for offset in range(0, capacity - buffer.size + 1, buffer.alignment):
                trial = [*chosen, (offset, arena)]
                if not any("height" not in fault for fault in faults(part, as_solution(part, trial))):
                    yield from extend(trial)

    for chosen in extend([]):
        yield as_solution(problem, chosen)


def as_solution(problem: Problem, chosen: list[tuple[int, int]]) -> Solution:
    return Solution(tuple(o for o, _ in chosen), 0, 0, "brute force", 0, tuple(a for _, a in chosen))


def least_height(problem: Problem) -> int | None:
    """The least height of one arena, or None if no height will do."""
    most = sum(b.size + b.alignment for b in problem.buffers) + sum(d.least for d in problem.distances)
    most += max((b.offset or 0) for b in problem.buffers)
    for height in range(most + 1):
        if next(placements(problem, [height]), None):
            return height
    return None


def load(problem: Problem) -> int:
    return max(
        (
            sum(b.size for b in problem.buffers if b.lifetime.start <= step < b.lifetime.stop)
            for step in {b.lifetime.start for b in problem.buffers}
        ),
        default=0,
    )


# ------------------------------------------------------------------ TFLM's planner and the load

numbers = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 6), st.integers(0, 6), st.sampled_from((-1, -1, -1, 0, 3, 8))),
    max_size=12,
)


@given(numbers)
@settings(max_examples=500)
def test_tflm_greedy_equals_the_reference(rows: list[tuple[int, int, int, int]]) -> None:
    sizes, first, last, offline = ([row[k] for row in rows] for k in range(4))
    assert _core.tflm_greedy(sizes, first, last, offline) == reference_greedy(sizes, first, last, offline)


def test_tflm_greedy_places_equal_sizes_in_reverse() -> None:
    # All three live together; the last one added is placed first.
    assert _core.tflm_greedy([4, 4, 8], [0, 0, 0], [1, 1, 1], [-1, -1, -1]) == [12, 8, 0]


def test_tflm_greedy_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="unequal length"):
        _core.tflm_greedy([1], [0], [0], [])
    with pytest.raises(OverflowError):
        _core.tflm_greedy([2**61] * 3, [0] * 3, [0] * 3, [-1] * 3)


@given(problems(plain=True))
def test_load_bound_is_the_largest_live_sum(problem: Problem) -> None:
    rows = [(b.size, b.lifetime.start, b.lifetime.stop) for b in problem.buffers]
    sizes, starts, stops = ([row[k] for row in rows] for k in range(3))
    assert _core.load_bound(sizes, starts, stops) == load(problem)


def test_live_sums_step_by_step() -> None:
    #        b b b
    #    a a a       c
    # 0  1 2 3 4  5  6 7
    times, sums = _core.live_sums([4, 2, 1], [1, 3, 6], [4, 5, 7])
    assert (times, sums) == ([1, 3, 4, 5, 6, 7], [4, 6, 2, 0, 1, 0])


# ------------------------------------------------------------------ least heights


@given(problems(bounded=False))
@settings(max_examples=300)
def test_least_height_equals_brute_force(problem: Problem) -> None:
    check_least(problem)


@given(problems(bounded=False, distant=True, max_buffers=5))
@settings(max_examples=300)
def test_least_height_with_distances_equals_brute_force(problem: Problem) -> None:
    check_least(problem)


def check_least(problem: Problem) -> None:
    result = pack(problem)
    best = least_height(problem)
    if isinstance(result, Infeasible):
        assert best is None
        check_witness(problem, result)
        return
    verify_solution(problem, result)
    assert result.proven
    assert result.height == best


@given(problems(plain=True, max_buffers=14, bounded=False))
@settings(max_examples=200)
def test_any_height_below_the_least_is_refuted(problem: Problem) -> None:
    result = pack(problem)
    assert isinstance(result, Solution)
    verify_solution(problem, result)
    assert result.proven
    lower = dataclasses.replace(problem, arenas=(Arena("arena", result.height - 1),))
    clash = pack(lower)
    assert isinstance(clash, Infeasible)
    check_witness(lower, clash)


# ------------------------------------------------------------------ capacities


@given(problems(bounded=True))
@settings(max_examples=300)
def test_fitting_equals_brute_force(problem: Problem) -> None:
    check_fit(problem)


@given(problems(bounded=True, arenas=2, max_buffers=5))
@settings(max_examples=300)
def test_fitting_into_two_arenas_equals_brute_force(problem: Problem) -> None:
    check_fit(problem)


@given(problems(bounded=True, arenas=2, max_buffers=4, distant=True))
@settings(max_examples=100)
def test_fitting_distances_into_two_arenas_equals_brute_force(problem: Problem) -> None:
    allowed = tuple(d for d in problem.distances if d.least <= problem.buffers[d.early].size)
    check_fit(dataclasses.replace(problem, distances=allowed))


def check_fit(problem: Problem) -> None:
    result = pack(problem)
    fits = next(placements(problem, [arena.capacity or 0 for arena in problem.arenas]), None) is not None
    assert fits == isinstance(result, Solution)
    if isinstance(result, Solution):
        verify_solution(problem, result)
    else:
        check_witness(problem, result)


def check_witness(problem: Problem, result: Infeasible) -> None:
    """Together its buffers do not fit; without any one of them they do."""
    assert result.excess >= 1
    chosen = [b for b in problem.buffers if b.id in result.witness]
    assert len(chosen) == len(result.witness) > 0
    assert isinstance(pack(restrict(problem, chosen)), Infeasible)
    for left_out in chosen:
        assert isinstance(pack(restrict(problem, [b for b in chosen if b is not left_out])), Solution)


def restrict(problem: Problem, chosen: list[Buffer]) -> Problem:
    ids = {b.id for b in chosen}
    kept = tuple(d for d in problem.distances if {d.early, d.late} <= ids)
    return dataclasses.replace(problem, buffers=tuple(chosen), distances=kept)


def test_the_witness_of_an_overload_is_the_largest_buffers_of_one_step() -> None:
    # Live together at step 2: 5 + 4 + 3 = 12; without the 1, which is live there too, it is still too much.
    result = pack(problem_of((5, 0, 3), (4, 2, 4), (3, 1, 3), (1, 2, 3), (9, 5, 6), capacity=11))
    assert result == Infeasible((BufferId(0), BufferId(1), BufferId(2)), 1)


# ------------------------------------------------------------------ what a problem can ask for


def test_fixed_buffers_that_overlap_are_named() -> None:
    fixed = [Buffer(BufferId(7), 4, Interval(0, 2), offset=0), Buffer(BufferId(9), 4, Interval(1, 3), offset=3)]
    assert pack(Problem(tuple(fixed))) == Infeasible((BufferId(7), BufferId(9)), 1)


def test_a_gap_lends_its_bytes() -> None:
    # a is idle while b is in use: one place serves both.
    a = Buffer(BufferId(0), 8, Interval(0, 9), gaps=(Interval(3, 6),))
    b = Buffer(BufferId(1), 8, Interval(3, 6))
    result = pack(Problem((a, b)))
    assert isinstance(result, Solution)
    assert (result.height, result.proven) == (8, True)


def test_a_distance_lets_live_buffers_overlap() -> None:
    a, b = Buffer(BufferId(0), 100, Interval(0, 2)), Buffer(BufferId(1), 80, Interval(1, 3))
    result = pack(Problem((a, b), distances=(Distance(BufferId(0), BufferId(1), 16),)))
    assert isinstance(result, Solution)
    assert (result.height, result.offsets, result.proven) == (100, (0, 16), True)


def test_parts_that_never_meet_are_packed_alone() -> None:
    # 1,000 blocks after one another, under one buffer that lives throughout.
    rows = [(7, 0, 4000)] + [
        row for t in range(0, 4000, 4) for row in ((3, t, t + 2), (2, t + 1, t + 4), (4, t + 2, t + 4))
    ]
    result = pack(problem_of(*rows))
    assert isinstance(result, Solution)
    verify_solution(problem_of(*rows), result)
    assert (result.height, result.proven) == (13, True)


def test_a_large_part_is_still_placed() -> None:
    # 30,000 buffers that all meet: far too many clashes to list, but stacking them is optimal.
    rows = [(1 + i % 7, i, 60_000 - i) for i in range(30_000)]
    result = pack(problem_of(*rows))
    assert isinstance(result, Solution)
    assert (result.height, result.proven) == (sum(row[0] for row in rows), True)


def test_the_result_depends_on_the_input_alone() -> None:
    source = random.Random(5)
    rows = [(source.randint(1, 90), start, start + source.randint(1, 9)) for start in range(40)]
    assert pack(problem_of(*rows)) == pack(problem_of(*rows))


def test_without_budget_the_heuristics_answer() -> None:
    result = pack(load_minimalloc("A", None), budget=0)
    assert isinstance(result, Solution)
    verify_solution(load_minimalloc("A", None), result)
    assert not result.proven
    assert result.lower_bound == CAPACITY < result.height


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (problem_of((-1, 0, 1)), "buffer 0: size out of range"),
        (problem_of((2**80, 0, 1)), "buffer 0 has a number out of range"),
        (problem_of((2**61, 0, 1), (2**61, 0, 1)), "add up to more than 2"),
        (problem_of((1, 0, 1), capacity=-1), "a capacity is out of range"),
        (Problem((Buffer(BufferId(0), 1, Interval(0, 1), alignment=0),)), "alignment out of range"),
        (Problem((Buffer(BufferId(0), 1, Interval(0, 1), 4, offset=2),)), "not a multiple of the alignment"),
        (Problem((Buffer(BufferId(0), 1, Interval(0, 1), arenas=(1,)),)), "an arena that does not exist"),
        (Problem((Buffer(BufferId(0), 1, Interval(0, 1)),) * 2), "two buffers have the same id"),
        (Problem((), distances=(Distance(BufferId(0), BufferId(1), 1),)), "names the buffer 0, which does not exist"),
        (
            Problem(
                problem_of((1, 0, 1), (1, 0, 1)).buffers,
                distances=(Distance(BufferId(0), BufferId(1), 0), Distance(BufferId(1), BufferId(0), 0)),
            ),
            "distances of zero form a cycle",
        ),
        (Problem((), arenas=()), "there is no arena"),
    ],
)
def test_what_makes_no_sense_is_refused(problem: Problem, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        pack(problem)


def test_large_numbers_that_never_meet_are_fine() -> None:
    result = pack(problem_of((2**61, 0, 1), (2**61, 1, 2)))
    assert isinstance(result, Solution)
    assert result.height == 2**61


def test_no_buffers_need_no_memory() -> None:
    result = pack(Problem(()))
    assert isinstance(result, Solution)
    assert (result.height, result.proven) == (0, True)


# ------------------------------------------------------------------ the verifier: one broken solution per fault

BASE = Problem(
    (
        Buffer(BufferId(0), 4, Interval(0, 3), 4),
        Buffer(BufferId(1), 4, Interval(2, 5), offset=4, arenas=(0,)),
        Buffer(BufferId(2), 2, Interval(3, 6), gaps=(Interval(4, 5),)),
    ),
    (Arena("a", 12), Arena("b", 12)),
)
GOOD = Solution((0, 4, 0), 8, 8, "by hand", 0, (0, 0, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"offsets": (0, 4)}, "2 offsets and 3 arenas for 3 buffers"),
        ({"offsets": (2, 4, 0)}, "buffer 0 at 2 is not at a multiple of 4"),
        ({"offsets": (0, 5, 0), "height": 9}, "not at its fixed offset 4"),
        ({"offsets": (12, 4, 0), "height": 16}, "ends at 16, beyond the capacity 12"),
        ({"offsets": (0, 4, -1)}, "buffer 2 at -1"),
        ({"offsets": (4, 4, 0)}, "overlap while both are in use"),
        ({"offsets": (0, 4, 4)}, "overlap while both are in use"),
        ({"arenas": (0, 1, 0)}, "buffer 1 is in arena 1, which is not allowed"),
        ({"arenas": (0, 0, 2)}, "buffer 2 is in arena 2, which is not allowed"),
        ({"height": 9}, "the height is 8, not 9"),
        ({"lower_bound": 9}, "the lower bound 9 is above the height 8"),
    ],
)
def test_the_verifier_names_the_fault(change: dict[str, object], message: str | None) -> None:
    broken = dataclasses.replace(GOOD, **change)  # type: ignore[arg-type]
    if message is None:
        verify_solution(BASE, broken)
        return
    with pytest.raises(InternalError, match=message):
        verify_solution(BASE, broken)


# ------------------------------------------------------------------ MiniMalloc's instances


def load_minimalloc(name: str, capacity: int | None) -> Problem:
    path: Path = MINIMALLOC / f"{name}.1048576.csv"
    if not path.is_file():
        pytest.skip(f"MiniMalloc's instances are absent: no {path.name} beside the third-party models")
    with path.open(encoding="utf-8") as file:
        rows = [(int(row["size"]), int(row["lower"]), int(row["upper"])) for row in csv.DictReader(file)]
    return problem_of(*rows, capacity=capacity)


@pytest.mark.parametrize("name", "ABCDEFGHIJK")
def test_minimalloc_instances_fit(name: str) -> None:
    problem = load_minimalloc(name, CAPACITY)
    result = pack(problem)
    assert isinstance(result, Solution)
    verify_solution(problem, result)
    assert result.height <= CAPACITY


@pytest.mark.parametrize("name", "ABCEFGHIK")
def test_minimalloc_instances_are_proven_least(name: str) -> None:
    problem = load_minimalloc(name, None)
    result = pack(problem)
    assert isinstance(result, Solution)
    verify_solution(problem, result)
    assert result.proven
    assert result.height == load(problem)
