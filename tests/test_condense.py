# SPDX-License-Identifier: Apache-2.0
"""Packing problems with less time in them: the same pairs meet, so the same placements are right."""

from __future__ import annotations

from hypothesis import given, settings

from strategies import problems
from thimble.condense import condensed
from thimble.memory import Buffer, BufferId, Interval, Problem, Solution
from thimble.pack import pack
from thimble.verify_pack import verify_solution


@given(problems(bounded=False))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_same_height(problem: Problem) -> None:
    whole, less = pack(problem), pack(condensed(problem))
    assert isinstance(whole, Solution) == isinstance(less, Solution)  # buffers with fixed offsets can clash
    if not isinstance(whole, Solution) or not isinstance(less, Solution):
        return
    verify_solution(problem, less)
    verify_solution(condensed(problem), whole)
    if whole.proven and less.proven:
        assert whole.height == less.height


def test_turns_that_repeat_become_one() -> None:
    """Two line buffers with turns 0, 2, 4 and 1, 3, 5 beside a third buffer that lives all the time."""
    always = Buffer(BufferId(0), 4, Interval(0, 6))
    even = Buffer(BufferId(1), 8, Interval(0, 5), gaps=(Interval(1, 2), Interval(3, 4)))
    odd = Buffer(BufferId(2), 8, Interval(1, 6), gaps=(Interval(2, 3), Interval(4, 5)))
    less = condensed(Problem((always, even, odd)))
    assert [b.lifetime for b in less.buffers] == [Interval(0, 2), Interval(0, 1), Interval(1, 2)]
    assert all(not b.gaps for b in less.buffers)
