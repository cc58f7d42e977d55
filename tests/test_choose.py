# SPDX-License-Identifier: Apache-2.0
"""The choice of kernels: variants, the front of their plans, and what each goal takes of it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_models as made
from compiled import edge_inputs
from thimble import produce, zoo
from thimble.choose import (
    Code,
    Counts,
    Goal,
    Variant,
    code_bytes,
    core_of,
    counted,
    directions,
    estimated,
    front,
    goal_named,
    needs,
    selections,
    smallest,
    variants,
)
from thimble.compile import Meter, compile_model
from thimble.errors import OptionError
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Model
from thimble.kernel import Flavour
from thimble.lower import Unit
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.streaming import Segment, partitions

SMALL = zoo.build("resnet_8", resolution=16)


def table_of(model: Model, flavour: Flavour, *, all_flavours: bool = False) -> tuple[tuple[Variant, ...], ...]:
    graph = compilable(model)
    core = core_of(flavour, None)
    return variants(graph, [Segment((op.id,)) for op in graph.ops], flavour, core, all_flavours=all_flavours)


@pytest.mark.parametrize("flavour", list(Flavour), ids=lambda f: f.value)
def test_variants_end_with_kernels_without_work_space(flavour: Flavour) -> None:
    for options in table_of(SMALL, flavour):
        units = [option.up for option in options]
        assert min(unit.scratch for unit in units) == 0 or len(units) == 1
        assert all(a.calls != b.calls for a, b in itertools.combinations(units, 2))


def test_a_convolution_has_leaner_variants() -> None:
    conv = made.conv((1, 6, 6, 8), (8, 3, 3, 8), (1, 6, 6, 8))
    (options,) = table_of(conv, Flavour.DSP)
    assert len(options) >= 2
    assert options[0].up.calls[0][0].kernel.endswith("_dsp")
    assert len(table_of(conv, Flavour.PORTABLE)[0]) == 1


numbers = st.integers(1, 50)
tables = st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=3), min_size=1, max_size=4)


def split(table: list[list[tuple[int, int]]]) -> tuple[Counts, Counts]:
    return (
        tuple(tuple(count for count, _ in row) for row in table),
        tuple(tuple(need for _, need in row) for row in table),
    )


@given(tables)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_each_limit_gets_the_fastest_within_it(table: list[list[tuple[int, int]]]) -> None:
    counts, need = split(table)
    found = [
        (least, sum(row[k] for row, k in zip(counts, chosen, strict=True)))
        for least, chosen in selections(counts, need)
    ]
    assert found == sorted(found, key=lambda point: (-point[0], point[1]))
    for combination in itertools.product(*table):
        arena, instructions = max(n for _, n in combination), sum(c for c, _ in combination)
        assert any(least <= arena and executed <= instructions for least, executed in found)


@given(tables, st.sampled_from([Goal.BALANCED, Goal.SPEED, Goal.RAM]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_front_equals_brute_force(table: list[list[tuple[int, int]]], goal: Goal) -> None:
    """Where an arena is as large as the largest need, no combination of variants is better than what is taken."""
    counts, need = split(table)
    unit = Unit(Segment(()), ())
    options = tuple(tuple(Variant(unit, replace_ops(unit, k)) for k in range(len(row))) for row in table)

    def plan(selected: tuple[Variant, ...]) -> tuple[int, None]:
        return max(row[option.down.segment.ops[0]] for row, option in zip(need, selected, strict=True)), None

    best = front(options, counts, need, goal.score, plan)
    assert best is not None
    wanted = min(
        goal.score(max(n for _, n in combination), sum(c for c, _ in combination))
        for combination in itertools.product(*table)
    )
    assert goal.score(best.arena, best.instructions) == wanted


def replace_ops(unit: Unit, number: int) -> Unit:
    """A unit that carries its number where a segment has its operators."""
    return Unit(Segment((number,)), unit.calls)  # type: ignore[arg-type]


def test_needs_are_what_lives_while_a_unit_runs() -> None:
    conv = made.conv((1, 6, 6, 8), (8, 3, 3, 8), (1, 6, 6, 8))
    table = table_of(conv, Flavour.DSP)
    (row,) = needs(compilable(conv), table, keep_inputs=False, rung=2)
    assert list(row) == [2 * 6 * 6 * 8 + option.up.scratch for option in table[0]]


def test_goals_keep_their_promises() -> None:
    programs = {goal: compile_model(SMALL, flavour=Flavour.DSP, optimize=goal) for goal in Goal}

    def instructions(goal: Goal) -> int:
        selection = programs[goal].selection
        assert selection is not None and selection.goal == goal.value and selection.core == "cortex-m4"
        return sum(part.instructions for part in selection.parts)

    arena = {goal: program.arena_bytes for goal, program in programs.items()}
    assert arena[Goal.RAM] == min(arena.values())
    assert instructions(Goal.SPEED) == min(map(instructions, Goal))
    product = {goal: arena[goal] * instructions(goal) for goal in Goal}
    assert product[Goal.BALANCED] <= min(product[Goal.RAM], product[Goal.SPEED])
    assert compile_model(SMALL, flavour=Flavour.DSP, optimize=Goal.RAM) == programs[Goal.RAM]


@pytest.mark.parametrize("rung", [2, 5])
@pytest.mark.parametrize(
    ("flavour", "goal"), [(Flavour.DSP, Goal.RAM), (Flavour.MVE, Goal.RAM), (Flavour.DSP, Goal.SIZE)]
)
def test_what_was_chosen_computes_the_same(flavour: Flavour, goal: Goal, rung: int) -> None:
    inputs = next(edge_inputs(SMALL))
    program = compile_model(SMALL, flavour=flavour, rung=rung, optimize=goal)
    with HostProgram(program, flags=("-O1",)) as compiled:
        np.testing.assert_array_equal(compiled.run(*inputs)[0], Executor(SMALL).run(*inputs)[0])


def test_rows_take_turns_but_for_what_is_computed_in_place() -> None:
    graph = compilable(zoo.build("ds_cnn"))
    order = [op.id for op in graph.ops]
    whole = [row[0] for row in variants(graph, [Segment((op,)) for op in order], Flavour.DSP, "cortex-m4")]
    assert list(directions(whole)) == [tuple(option.up for option in whole)]  # nothing runs by rows
    (parts,) = partitions(graph, order, longest=1)
    options = [row[0] for row in variants(graph, parts, Flavour.DSP, "cortex-m4")]
    _, first, second = directions(options)
    for units, start in ((first, False), (second, True)):
        moved = [unit.streamed or not unit.calls[0][0].in_place for unit in units]
        for number, (unit, option) in enumerate(zip(units, options, strict=True)):
            assert unit is option.running(down=bool(start ^ sum(moved[:number]) % 2))


def test_counting_replaces_estimates() -> None:
    """A meter for which the leanest kernels are the fastest gets them."""
    asked: list[Program] = []

    def count(program: Program) -> list[int]:
        asked.append(program)
        return [10 + step.call.scratch for step in program.steps]

    program = compile_model(SMALL, flavour=Flavour.DSP, optimize=Goal.SPEED, meter=Meter("machine", count))
    assert program.selection is not None and program.selection.machine == "machine"
    assert all(part.work_space == 0 for part in program.selection.parts)
    assert 1 < len(asked) <= 8


def test_estimates_follow_the_level() -> None:
    graph = compilable(SMALL)
    table = table_of(SMALL, Flavour.DSP)
    counts = counted(table, lambda units: estimated(graph, units, "cortex-m4"))
    assert [len(row) for row in counts] == [len(row) for row in table]
    assert all(count >= 0 for row in counts for count in row)
    assert core_of(Flavour.MVE, "no such core") == "cortex-m55"


def test_kernels_are_shared_where_that_is_smaller() -> None:
    conv = made.conv((1, 6, 6, 8), (8, 3, 3, 8), (1, 6, 6, 8))
    one = table_of(conv, Flavour.DSP, all_flavours=True)
    counts = tuple(tuple(0 for _ in row) for row in one)
    code = {call.kernel: Code(3_000, 1_000) for option in one[0] for call in option.up.calls[0]}
    assert not smallest(one, counts, code)[1]
    assert smallest(one * 9, counts * 9, code)[1]
    cheap = {kernel: Code(100 if kernel == "conv_2d_s8" else 3_000, 9_000) for kernel in code}
    (chosen,), shared = smallest(one, counts, cheap)
    assert shared and one[0][chosen].up.calls[0][0].kernel == "conv_2d_s8"


def test_sizes_of_common_kernels_are_known() -> None:
    table = code_bytes()
    assert {"conv_2d_s8", "conv_2d_s8_dsp", "conv_2d_s8_mve", "depthwise_conv_2d_s8", "softmax_s8"} <= set(table)
    assert all(0 <= code.shared < 20_000 and 0 <= code.apart < 20_000 for code in table.values())


def test_manifest_says_what_was_chosen(tmp_path: Path) -> None:
    produce.compile_bundle("demo", tmp_path / "a", target="cortex-m4", optimize="size")
    produce.compile_bundle("demo", tmp_path / "b", target="cortex-m4", optimize="size")
    text = (tmp_path / "a" / "manifest.json").read_text(encoding="utf-8")
    assert text == (tmp_path / "b" / "manifest.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["optimize"] == "size" and found["flags"][0] == "-Os"
    assert found["instructions_from"] == "estimated for cortex-m4"
    assert sum(part["instructions"] for part in found["selection"]) == found["instructions"]
    build = (tmp_path / "a" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert '_OPTIMIZE "-Os"' in build
    assert ('slower code" ON)' in build) == (len(found["flags"]) == 2)


def test_flags_of_a_manifest_are_ours(tmp_path: Path) -> None:
    produce.compile_bundle("demo", tmp_path, target="host")
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"-O2"', '"-fplugin=x"'), encoding="utf-8")
    with pytest.raises(OptionError, match="flags -fplugin=x are not known"):
        produce.run(tmp_path)


def test_arguments_are_checked(tmp_path: Path) -> None:
    assert goal_named("ram") is Goal.RAM
    with pytest.raises(OptionError, match="--optimize fast: there are balanced, speed, ram, size"):
        produce.run("demo", optimize="fast")
    with pytest.raises(OptionError, match="mps3-an547: is a cortex-m55, whose instructions are not those of cortex-m4"):
        produce.compile_bundle("demo", tmp_path, target="cortex-m4", tune="mps3-an547")
    with pytest.raises(OptionError, match="there is no CMSIS-NN here"):
        produce.compile_bundle("demo", tmp_path, target="cortex-m4", tune="mps2-an386", kernels="cmsis-nn")
