# SPDX-License-Identifier: Apache-2.0
"""The symbolic arena: sound programs pass, and one broken program per kind of fault does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thimble.compile import compile_model
from thimble.errors import InternalError
from thimble.kernel import Flavour, View
from thimble.pipeline import load
from thimble.program import FLASH, Access, ArenaBlock, Program, Step
from thimble.verify_program import verify_program

PROGRAM = compile_model(load("demo"), flavour=Flavour.DSP, rung=2, optimize=None)
FIRST = PROGRAM.steps[0]


def with_step(number: int, step: Step) -> Program:
    steps = list(PROGRAM.steps)
    steps[number] = step
    return replace(PROGRAM, steps=tuple(steps))


def moved(access: Access, by: int) -> Access:
    return replace(access, offset=access.offset + by)


def test_a_sound_program_passes() -> None:
    verify_program(PROGRAM)


@pytest.mark.parametrize("number", range(len(PROGRAM.steps)))
def test_a_result_at_another_place(number: int) -> None:
    step = PROGRAM.steps[number]
    broken = with_step(number, replace(step, writes=tuple(moved(a, 4) for a in step.writes)))
    with pytest.raises(InternalError):
        verify_program(broken)


def test_an_operand_at_another_place() -> None:
    broken = with_step(0, replace(FIRST, reads=(moved(FIRST.reads[0], 1),)))
    with pytest.raises(InternalError, match=r"reads .* where tensor"):
        verify_program(broken)


def test_a_step_left_out() -> None:
    with pytest.raises(InternalError, match=r"reads|is not whole"):
        verify_program(replace(PROGRAM, steps=PROGRAM.steps[1:]))


def test_two_steps_exchanged() -> None:
    steps = (PROGRAM.steps[1], FIRST, *PROGRAM.steps[2:])
    with pytest.raises(InternalError):
        verify_program(replace(PROGRAM, steps=steps))


def test_a_write_over_what_is_read() -> None:
    plain = replace(FIRST, scratch=None, call=replace(FIRST.call, scratch=0))
    broken = with_step(0, replace(plain, writes=(replace(FIRST.writes[0], offset=FIRST.reads[0].offset),)))
    with pytest.raises(InternalError, match="overwrites"):
        verify_program(broken)


def test_work_space_over_what_is_read() -> None:
    number, step = next((i, s) for i, s in enumerate(PROGRAM.steps) if s.scratch is not None)
    broken = with_step(number, replace(step, scratch=(0, step.reads[0].offset)))
    with pytest.raises(InternalError, match="overwrites"):
        verify_program(broken)


def test_work_space_over_the_result() -> None:
    number, step = next((i, s) for i, s in enumerate(PROGRAM.steps) if s.scratch is not None)
    broken = with_step(number, replace(step, scratch=(0, step.writes[0].offset)))
    with pytest.raises(InternalError, match="two things"):
        verify_program(broken)


def test_an_arena_too_small() -> None:
    small = ArenaBlock("arena", PROGRAM.arenas[0].size - 1, 8)
    with pytest.raises(InternalError, match="leaves the arena"):
        verify_program(replace(PROGRAM, arenas=(small,)))


def test_a_view_outside_its_tensor() -> None:
    view = View(FIRST.reads[0].view.tensor, 0, (2,), (FIRST.reads[0].view.tensor.nbytes,))
    with pytest.raises(InternalError, match="leaves tensor"):
        verify_program(with_step(0, replace(FIRST, reads=(replace(FIRST.reads[0], view=view),))))


def test_a_result_in_flash() -> None:
    broken = with_step(0, replace(FIRST, writes=(replace(FIRST.writes[0], arena=FLASH),)))
    with pytest.raises(InternalError, match="not its result"):
        verify_program(broken)


def test_another_operators_tensor() -> None:
    stranger = PROGRAM.steps[-1].writes[0]
    with pytest.raises(InternalError, match="not its result"):
        verify_program(with_step(0, replace(FIRST, writes=(stranger,))))
    with pytest.raises(InternalError, match="not its operand"):
        verify_program(with_step(0, replace(FIRST, reads=(stranger,))))
