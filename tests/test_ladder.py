# SPDX-License-Identifier: Apache-2.0
"""The whole ladder: which rung is chosen, what it costs, and how many models fit after each."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import thimble
from small import small_network
from thimble import climb, fitrate, zoo
from thimble.bundle import Sizes
from thimble.compile import HIGHEST_RUNG
from thimble.errors import OptionError, UnsupportedOperatorError
from thimble.exporters.tflite import model_to_bytes
from thimble.fitrate import Needs, model_files, share
from thimble.front import Point, marked, most_macs
from thimble.ir import Model
from thimble.judge import cheapest, judge
from thimble.kernel import Flavour
from thimble.ladder import Compiled, Limits, Rung
from thimble.pipeline import fit_rates, ladder
from thimble.program import Program
from thimble.target import target_named
from tiny_tflite import encode, graph, operator, tensor

M4 = target_named("cortex-m4")
STACK = 100
CODE = 1_000


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes are made up, so that no test depends on cross compilers; what comes back is what was asked for."""
    asked: list[int] = []

    def sizes(program: object, flavour: Flavour, target: str) -> Sizes:
        asked.append(climb.constant_bytes(program))  # type: ignore[arg-type]
        return Sizes(CODE, asked[-1] + CODE, 0, STACK)

    monkeypatch.setattr(climb, "linked_sizes", sizes)
    return asked


@pytest.fixture(scope="module")
def model() -> Model:
    return small_network()


@pytest.fixture(scope="module")
def arenas(model: Model) -> list[int]:
    """Of compiled code for Cortex-M4, by rung."""
    return [climb.build(model, rung, Flavour.DSP).rung.arena_bytes for rung in range(HIGHEST_RUNG + 1)]


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A model with an operator that cannot be compiled."""
    path = tmp_path / "unknown.tflite"
    tensors = [tensor(b"x", (16,)), tensor(b"y", (16,))]
    ops = [operator(0, (0,), (1,))]
    code = {0: ("b", 32), 1: b"npu", 3: ("i", 32)}
    path.write_bytes(encode({0: ("I", 3), 1: [code], 2: [graph(tensors, (0,), (1,), ops)], 4: [{}]}))
    return path


def test_where_tflm_fits_nothing_is_linked_and_nothing_built_above_rung_2(model: Model, no_compiler: list[int]) -> None:
    verdict = thimble.fit(model, max_ram=1 << 20)
    assert verdict.runtime == "tflm" and verdict.chosen is verdict.rungs[0] and no_compiler == []
    assert [(rung.rung, rung.runs_on_tflm) for rung in verdict.rungs] == [(0, True), (1, True), (2, True)]
    assert all(rung.compiled is not None for rung in verdict.rungs)


def test_the_climb_ends_at_the_first_rung_that_fits(model: Model, arenas: list[int]) -> None:
    for number in range(2, HIGHEST_RUNG + 1):
        if arenas[number] >= min(arenas[2:number], default=1 << 30):
            continue  # no better than those below
        verdict = thimble.fit(model, max_ram=arenas[number] + STACK)
        assert verdict.fits and verdict.chosen is not None and verdict.chosen is verdict.rungs[-1]
        assert (verdict.chosen.rung, verdict.runtime, verdict.ram_bytes) == (
            number,
            "thimble",
            arenas[number] + STACK,
        )
        assert verdict.exact and verdict.flash_bytes == verdict.chosen.compiled.constant_bytes + CODE


def test_one_byte_too_little_fits_no_rung_and_says_by_how_much(model: Model, arenas: list[int]) -> None:
    least = min(arenas)
    verdict = thimble.fit(model, max_ram=least + STACK - 1)
    assert not verdict.fits and verdict.chosen is None and verdict.clash is not None
    assert verdict.closest.arena_bytes == least and verdict.ram_bytes == least + STACK
    assert verdict.clash.ram_excess == 1
    assert [rung.rung for rung in verdict.rungs] == list(range(HIGHEST_RUNG + 1))


def test_flash_counts_too(model: Model) -> None:
    constants = [climb.build(model, r, Flavour.DSP).compiled.constant_bytes for r in range(2, HIGHEST_RUNG + 1)]
    fits = thimble.fit(model, max_flash=constants[0] + CODE)
    assert fits.fits and fits.runtime == "thimble" and fits.chosen is not None and fits.chosen.rung == 2
    refused = thimble.fit(model, max_flash=min(constants) + CODE - 1)
    assert not refused.fits and refused.clash is not None and refused.clash.flash_excess == 1


def test_memory_without_flash_holds_code_and_constants(model: Model, arenas: list[int]) -> None:
    compiled = climb.build(model, HIGHEST_RUNG, Flavour.DSP).compiled
    need = min(arenas) + STACK + compiled.constant_bytes + CODE
    steps = climb.climb(model, M4)
    verdict = judge(model, steps, "a device", Limits(need, None, shared=True), M4)
    assert verdict.fits and verdict.ram_bytes == need
    assert not judge(model, steps, "a device", Limits(need - 1, None, shared=True), M4).fits


def test_either_runtime_can_be_asked_for(model: Model) -> None:
    steps = climb.climb(model, M4)
    roomy, tight = Limits(1 << 20, None), Limits(steps[2].rung.ram_bytes - 1, None)
    code = judge(model, steps, "", roomy, M4, runtime="thimble")
    assert code.fits and code.runtime == "thimble" and code.chosen is not None and code.chosen.rung == 2
    only = judge(model, steps, "", tight, M4, runtime="tflm")
    assert not only.fits and only.runtime == "tflm" and len(only.rungs) == 3
    assert judge(model, steps, "", tight, M4).fits


def test_all_rungs_are_computed_if_wanted(model: Model, arenas: list[int]) -> None:
    verdict = thimble.fit(model, max_ram=1 << 20, all_rungs=True)
    assert verdict.chosen is verdict.rungs[0]
    assert [rung.compiled.arena_bytes for rung in verdict.rungs if rung.compiled] == arenas
    above = verdict.rungs[3:]
    assert [rung.arena_bytes for rung in above] == arenas[3:]
    assert all(rung.persistent_bytes is None and rung.lower_bound_bytes <= rung.arena_bytes for rung in above)


def test_without_a_compiler_arena_and_constants_decide_and_a_notice_says_so(
    model: Model, arenas: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(climb, "linked_sizes", lambda *_: "code size is not known: no compiler\nat all")
    verdict = thimble.fit(model, max_ram=min(arenas))
    assert verdict.fits and not verdict.exact and verdict.ram_bytes == min(arenas)
    assert [n for n in verdict.notices if "no compiler" in n] == [
        "only arena and constants are counted: code size is not known: no compiler"
    ]


def test_what_cannot_be_compiled_is_judged_with_tflm_and_says_why(unknown: Path) -> None:
    verdict = thimble.fit(thimble.load(unknown), max_ram=1 << 20)
    assert verdict.fits and verdict.runtime == "tflm" and len(verdict.rungs) == 3
    assert any("cannot be compiled" in notice and "npu" in notice for notice in verdict.notices)
    assert all(rung.compiled is None for rung in verdict.rungs)
    with pytest.raises(UnsupportedOperatorError, match="npu"):
        thimble.fit(thimble.load(unknown), max_ram=1 << 20, runtime="thimble")


def test_where_tflm_has_no_port_compiled_code_is_chosen(model: Model) -> None:
    verdict = thimble.fit(model, max_ram=1 << 20, target="avr")
    assert verdict.runtime == "thimble" and verdict.chosen is not None and verdict.chosen.rung == 2


@pytest.mark.parametrize("name", ["tcn", "lstm"])
def test_no_arena_is_below_its_floor(name: str) -> None:
    built = zoo.build(name)
    for rung in range(HIGHEST_RUNG + 1):
        found = climb.build(built, rung, Flavour.PORTABLE).rung
        assert found.lower_bound_bytes <= found.arena_bytes


def test_the_floor_counts_what_must_be_there_together(model: Model) -> None:
    ops = [model.main.operands(op) + model.main.results(op) for op in model.main.ops]
    both = max(sum(t.nbytes for t in tensors if t is not None and not t.data) for tensors in ops)
    assert climb.floor(model.main, 2) == both
    assert climb.floor(model.main, 3) == max(t.nbytes for ts in ops for t in ts if t is not None and not t.data)
    assert climb.floor(model.main, 5) == 12 * 8 * 4  # the input, which the caller fills as a whole


def test_compile_takes_the_rung_that_fit_chooses(model: Model, arenas: list[int]) -> None:
    limits = Limits(arenas[3] + STACK, None)
    verdict = judge(model, climb.climb(model, M4), "", limits, M4)
    built, why = cheapest(model, M4, limits, Flavour.DSP)
    assert verdict.chosen is not None and built.rung.rung == verdict.chosen.rung == 3
    assert why == "rung 3 (merge) was chosen, the cheapest that fits; those from 2 to 2 do not fit"
    nothing, why = cheapest(model, M4, Limits(1, None), Flavour.DSP)
    assert nothing.rung.arena_bytes == min(arenas) and why.startswith("no rung fits")


def point(rung: int, arena: int, macs: float = 0.0, instructions: int | None = None) -> Point:
    compiled = Compiled("portable", arena, 0, 100, macs, 0)
    return Point(Rung(rung, "", arena, 0, macs, 0.0, arena, compiled=compiled), compiled, instructions)


@pytest.mark.parametrize(
    ("points", "front_rungs"),
    [
        ([point(0, 9), point(1, 9), point(2, 7), point(3, 8)], [0, 2]),  # a rung stands for its price
        ([point(5, 7), point(6, 5, 0.1), point(6, 4, 0.3), point(6, 5, 0.2)], [5, 6, 6]),
        ([point(2, 9, instructions=10), point(4, 8, instructions=12), point(5, 7, instructions=11)], [2, 5]),
        ([], []),
    ],
)
def test_the_front_has_what_nothing_is_better_than(points: list[Point], front_rungs: list[int]) -> None:
    assert [p.rung.rung for p in marked(points) if p.on_front] == front_rungs


def test_the_ladder_needs_less_and_less(model: Model, arenas: list[int], no_compiler: list[int]) -> None:
    core, points = ladder(model, target="cortex-m4")
    best = [p.rung.arena_bytes for p in points if p.on_front]
    assert core == "cortex-m4" and [p.rung.arena_bytes for p in points] == arenas
    assert best == sorted(best, reverse=True) and best[-1] == min(arenas) and len(set(best)) == len(best)
    assert all(p.compiled.known == p.on_front for p in points) and len(no_compiler) == len(best)


def test_the_limit_of_macs_leaves_rungs_out(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "macs", property(lambda program: program.graph.macs() * 6 // 5))
    assert ladder(model, max_macs=1.1)[1] == ()
    assert len(ladder(model, max_macs=1.2)[1]) == HIGHEST_RUNG + 1


@pytest.mark.parametrize(("text", "factor"), [("1.1x", 1.1), ("1", 1.0), (" 2X ", 2.0)])
def test_factors_as_people_write_them(text: str, factor: float) -> None:
    assert most_macs(text) == factor


@pytest.mark.parametrize("text", ["0.9x", "lots", "110%", ""])
def test_what_is_no_factor_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--max-macs"):
        most_macs(text)


def test_a_machine_must_have_the_core_that_is_compiled_for(model: Model) -> None:
    with pytest.raises(OptionError, match="--emulate mps2-an386: is a cortex-m4, not a cortex-m55"):
        ladder(model, target="cortex-m55", machine="mps2-an386")


def test_shares_count_weights_and_the_best_arena_so_far(model: Model) -> None:
    found = fitrate.needs(model, target_named("npu"))
    assert len(found.arenas) == HIGHEST_RUNG + 1 and list(found.arenas) == sorted(found.arenas, reverse=True)
    last = found.weight_bytes + found.arenas[-1]
    other = Needs("unread", 0, (), "cannot be read")
    assert [share([found, other], HIGHEST_RUNG, size) for size in (last, last - 1)] == [1.0, 0.0]
    assert share([found], 0, last) == 0.0
    assert share([other], 0, 1) == 0.0


def test_fit_rates_list_what_is_missing(tmp_path: Path, unknown: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "good.tflite").write_bytes(model_to_bytes(zoo.build("ds_cnn")))
    (tmp_path / "notes.txt").write_text("no model")
    found = {model.name: model for model in fit_rates([str(tmp_path), str(unknown)])}
    assert list(found) == ["bad.tflite", "good.tflite", "unknown.tflite"]
    assert found["bad.tflite"].arenas == () and "cannot be read" in found["bad.tflite"].note
    assert found["unknown.tflite"].note.startswith("cannot be compiled")
    assert len(set(found["unknown.tflite"].arenas)) == 1
    rows = list(csv.DictReader(fitrate.table(list(found.values()), [1 << 20]).splitlines()))
    assert [row["fits_1048576_from_rung"] for row in rows] == ["", "0", "0"]


def test_models_are_asked_for_by_paths_that_exist(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is no such file"):
        model_files(["no_such_folder"])
    with pytest.raises(OptionError, match="there are no models"):
        model_files([str(tmp_path)])
    with pytest.raises(OptionError, match="give model files or folders, or --zoo"):
        fit_rates([])
