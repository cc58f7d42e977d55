# SPDX-License-Identifier: Apache-2.0
"""The int8 kernels with packed arithmetic as their work space is limited more and more, on the host."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from compiled import SANITIZED, assert_same, edge_inputs
from test_kernels_int8 import layers, tamed
from test_reference_convolution import Maker, _finish
from thimble.arena import arena_problem
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import DType, Model, Padding
from thimble.kernel import Choice, Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled, lowered
from thimble.memory import Solution
from thimble.pack import pack
from thimble.program import Program
from thimble.streaming import Segment
from thimble.verify_program import verify_program


def within(model: Model, work_space: int | None) -> Program:
    """A model of one operator with the DSP kernels that need at most so much work space."""
    graph = model.main
    schedule = shipped_schedule(graph)
    choices = {op: Choice(Flavour.DSP, work_space) for op in schedule.order}
    units = lowered(graph, [Segment((op,)) for op in schedule.order], Flavour.DSP, choices)
    problem, slots = arena_problem(graph, units, merge=True)
    solution = pack(problem)
    assert isinstance(solution, Solution)
    program = assembled("m", graph, schedule, units, slots, solution)
    verify_program(program)
    return program


def leaner(model: Model) -> list[Program]:
    """The same with less and less work space, down to none."""
    programs = [within(model, None)]
    while scratch := max(step.call.scratch for step in programs[-1].steps):
        programs.append(within(model, scratch - 1))
    return programs


def check_leaner(model: Model) -> set[str]:
    """Check all of them on the host, and return which kernels they use."""
    programs = leaner(model)
    given = list(edge_inputs(model))
    wanted = [Executor(model).run(*values) for values in given]
    for program in programs:
        with HostProgram(program, flags=SANITIZED) as compiled:
            for values, results in zip(given, wanted, strict=True):
                for got, result in zip(compiled.run(*values), results, strict=True):
                    assert_same(got, result)
    return {step.call.kernel for program in programs for step in program.steps}


@given(model=layers())
@settings(max_examples=6, deadline=None, derandomize=True)
def test_random_layers_with_less_work_space(model: Model) -> None:
    check_leaner(model)


def layer(shape: tuple[int, ...], filters: tuple[int, ...], *, tame: bool = True, **options: object) -> Model:
    """A convolution; a depthwise one where there is one row of filters for as many channels as the input has."""
    make = Maker(7)
    depthwise = filters[0] == 1 and filters[3] == shape[3] > 1
    axis, count = (3, filters[3]) if depthwise else (0, filters[0])
    x, weights = make.tensor(shape, DType.INT8), make.weights(filters, DType.INT8, axis=axis, scales=count)
    weights = tamed(weights, faint=False) if tame else weights
    chosen = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1, **({"depth_multiplier": 1} if depthwise else {})}
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    taps = filters[1] * filters[2] * (1 if depthwise else filters[3])
    inputs = [x, weights, make.bias(x, weights, count, DType.INT32)]
    return _finish(name, {**chosen, **options}, inputs, make, taps)


CONV, DEPTHWISE = "conv_2d_s8", "depthwise_conv_2d_s8"
LEANER = {
    "cells of words": (
        layer((1, 5, 7, 8), (7, 3, 3, 8)),
        {CONV, f"{CONV}_dsp", f"{CONV}_strip_dsp", f"{CONV}_walk_dsp"},
    ),
    "wild weights": (
        layer((1, 5, 7, 8), (7, 3, 3, 8), tame=False),
        {CONV, f"{CONV}_dsp", f"{CONV}_strip_dsp", f"{CONV}_walk_dsp"},
    ),
    "columns filled up": (layer((1, 6, 7, 3), (6, 3, 3, 3), stride_w=2), {CONV, f"{CONV}_dsp", f"{CONV}_strip_dsp"}),
    "pointwise": (layer((1, 4, 5, 64), (64, 1, 1, 64)), {f"{CONV}_dsp", f"{CONV}_strip_dsp", "pointwise_s8_walk_dsp"}),
    "narrow image": (layer((1, 9, 1, 4), (4, 5, 3, 4)), {CONV, f"{CONV}_strip_dsp", f"{CONV}_walk_dsp"}),
    "depthwise": (layer((1, 12, 25, 8), (1, 3, 3, 8)), {f"{DEPTHWISE}_dsp", f"{DEPTHWISE}_walk_dsp"}),
    "depthwise, no fours": (layer((1, 5, 12, 6), (1, 3, 3, 6)), {f"{DEPTHWISE}_dsp", DEPTHWISE}),
    "depthwise, one column": (
        layer((1, 7, 3, 8), (1, 3, 3, 8), padding=Padding.VALID),
        {f"{DEPTHWISE}_walk_dsp"},
    ),
}


@pytest.mark.parametrize("name", LEANER)
def test_kernels_give_way_to_those_with_less_work_space(name: str) -> None:
    model, kernels = LEANER[name]
    assert check_leaner(model) == kernels
