# SPDX-License-Identifier: Apache-2.0
"""Placement: against brute force, against whole memories, and its certificate."""

import itertools
import json
import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from thimble import pipeline
from thimble.board import Board, load_board, read_board
from thimble.commands.main import run
from thimble.compare import compared
from thimble.compile import compile_model, flavour_of
from thimble.cost import Layout, Price
from thimble.cost import cost_of as cost_of_layout
from thimble.errors import InternalError, OptionError
from thimble.kernel import Flavour
from thimble.memory import Interval
from thimble.place import place
from thimble.place_board import Placed, Setting, banks_of, pairs_of, placed_best, setting_of
from thimble.place_parts import Part, Parts, may_hold, memories_of, slices
from thimble.placement import Bank, Item, Memory, NoRoom, PlacementProblem, PlacementResult
from thimble.report_place import region_at
from thimble.target import target_named
from thimble.units import parse_seconds
from thimble.verify_place import verify_placement


def height(blocks):
    """The least arena for (size, start, stop, alignment), by trying all orders: in one of them lowest-first is best."""
    best = None
    for order in itertools.permutations(blocks):
        placed = []
        for size, start, stop, alignment in order:
            others = [(o, s) for o, s, a, b in placed if a < stop and start < b]
            offset = next(
                o for o in itertools.count(0, alignment) if all(o + size <= p or p + s <= o for p, s in others)
            )
            placed.append((offset, size, start, stop))
        top = max((o + s for o, s, _, _ in placed), default=0)
        best = top if best is None else min(best, top)
    return best


height_of = cache(height)


def up(size, alignment):
    return -(-size // alignment) * alignment


def used_bytes(problem, memories, homes, m):
    """Bytes of memory m: what always exists, one after another, then the arena."""
    static = sum(
        up(item.size, problem.alignment)
        for item, where, home in zip(problem.items, memories, homes, strict=True)
        if item.lifetime is None and m in (where, home)
    )
    blocks = sorted(
        (i.size, i.lifetime.start, i.lifetime.stop, i.alignment)
        for i, where in zip(problem.items, memories, strict=True)
        if i.lifetime is not None and where == m
    )
    return static + height_of(tuple(blocks))


def cost_of(problem, memories, homes):
    """The cost of a placement, None where it breaks a rule."""
    total = [0, 0]
    for item, where in zip(problem.items, memories, strict=True):
        if item.costs[where] is None:
            return None
        total = [total[part] + item.costs[where][part] for part in (0, 1)]
    for m, memory in enumerate(problem.memories):
        top = used_bytes(problem, memories, homes, m)
        if top > memory.capacity:
            return None
        start = 0
        for bank in memory.banks:
            if start < top:
                total = [total[part] + bank.cost[part] for part in (0, 1)]
            start += bank.size
    return tuple(total)


def homes_of(problem, item, where):
    """The memories that may keep an item."""
    lasting = [m for m, memory in enumerate(problem.memories) if memory.lasting]
    if not item.lasting or not lasting:
        return [None]
    return [where] if where in lasting else lasting


def brute_force(problem):
    """The least cost over all memories and homes; None where nothing fits."""
    best = None
    for memories in itertools.product(range(len(problem.memories)), repeat=len(problem.items)):
        if any(item.costs[where] is None for item, where in zip(problem.items, memories, strict=True)):
            continue
        kept = [homes_of(problem, item, where) for item, where in zip(problem.items, memories, strict=True)]
        for homes in itertools.product(*kept):
            cost = cost_of(problem, memories, homes)
            if cost is not None and (best is None or cost < best):
                best = cost
    return best


def random_problem(seed):
    """Two or three memories, at most six items; about one in six does not fit."""
    draw = random.Random(seed)
    count = draw.choice((2, 3))
    lasting = [False, *(draw.random() < 0.5 for _ in range(count - 1))]
    memories = tuple(
        Memory(
            f"m{m}",
            tuple(
                Bank(draw.randrange(2, 9) * 8, (draw.choice((0, draw.randrange(20))), draw.randrange(9)))
                for _ in range(draw.choice((1, 1, 2)))
            ),
            lasting[m],
        )
        for m in range(count)
    )
    items = tuple(random_item(draw, n, lasting) for n in range(draw.randrange(2, 7)))
    return PlacementProblem(items, memories)


def random_item(draw, number, lasting):
    alignment = draw.choice((1, 4, 4, 8))
    transient = draw.random() < 0.6
    start = draw.randrange(5)
    costs = tuple(
        None if (transient and lasts) or (m and draw.random() < 0.1) else (draw.randrange(30), draw.randrange(9))
        for m, lasts in enumerate(lasting)
    )
    life = Interval(start, start + draw.randrange(1, 4)) if transient else None
    size = up(draw.randrange(1, 40), alignment)
    return Item(f"i{number}", "tensor", size, costs, life, alignment, not transient and draw.random() < 0.7)


def check(problem: PlacementProblem, result: PlacementResult) -> None:
    """Every rule, byte by byte."""
    assert cost_of(problem, result.memories, result.homes) == result.cost
    for item, where, home in zip(problem.items, result.memories, result.homes, strict=True):
        assert home in homes_of(problem, item, where)
    for m, memory in enumerate(problem.memories):
        assert result.used[m] <= sum(bank.size for bank in memory.banks[: result.banks[m]])
        assert result.arenas[m] <= result.used[m] <= memory.capacity
        owner: dict[tuple[int, int], str] = {}
        for item, where, offset in zip(problem.items, result.memories, result.offsets, strict=True):
            if where == m:
                assert offset % item.alignment == 0 and offset + item.size <= result.used[m]
                life = item.lifetime or Interval(0, 9)
                for at in itertools.product(range(life.start, life.stop), range(offset, offset + item.size)):
                    assert owner.setdefault(at, item.name) == item.name


def test_equals_brute_force_on_500_random_problems() -> None:
    misfits = 0
    for seed in range(500):
        problem = random_problem(seed)
        best, result = brute_force(problem), place(problem)
        if isinstance(result, NoRoom):
            assert best is None and result.excess > 0, seed
            misfits += 1
        else:
            check(problem, result)
            assert result.proven and result.cost == best, seed
    assert 20 < misfits < 250


def item(name, size, costs, life=None, alignment=1, kind="weights", lasting=False):
    firsts = tuple(None if cost is None else (cost, 0) for cost in costs)
    return Item(name, kind, size, firsts, None if life is None else Interval(*life), alignment, lasting)


def test_what_does_not_fit_the_fast_memory_spills_by_value_per_byte_not_by_size() -> None:
    memories = (Memory("fast", (Bank(100),)), Memory("slow", (Bank(1000),)))
    items = (item("large, hot", 90, (0, 900)), item("small, cold", 20, (0, 5)), item("small, warm", 10, (0, 50)))
    result = place(PlacementProblem(items, memories))
    assert isinstance(result, PlacementResult)
    assert result.memories == (0, 1, 0) and result.cost == (5, 0) and result.proven


def test_an_arena_that_is_higher_than_its_live_bytes() -> None:
    """At most 15 bytes live at once, but 16 are needed, for two blocks start at multiples of 4."""
    lives = ((2, (2, 4), 1), (3, (3, 5), 1), (12, (4, 5), 4), (12, (1, 3), 4))
    items = tuple(item(f"t{n}", size, (0, 10 + n), life, a) for n, (size, life, a) in enumerate(lives))
    tight = PlacementProblem(items, (Memory("fast", (Bank(15),)), Memory("slow", (Bank(100),))))
    result = place(tight)
    assert isinstance(result, PlacementResult)
    check(tight, result)
    assert result.cost == brute_force(tight) == (10, 0) and result.rounds > 1 and result.proven
    roomy = PlacementProblem(items, (Memory("fast", (Bank(16),)), Memory("slow", (Bank(100),))))
    assert place(roomy).cost == (0, 0)


def test_a_bank_stays_off_unless_it_pays() -> None:
    fast = Memory("fast", (Bank(64, (5, 0)), Bank(64, (50, 0))))
    items = tuple(item(f"w{n}", 32, (0, 20)) for n in range(3))
    result = place(PlacementProblem(items, (fast, Memory("slow", (Bank(1000),)))))
    assert result.banks == (1, 1) and result.cost == (25, 0)


def test_equal_costs_are_decided_by_the_second_part() -> None:
    costs = ((7, 3), (7, 1), (7, 2))
    memories = tuple(Memory(name, (Bank(64),)) for name in "abc")
    result = place(PlacementProblem((Item("w", "weights", 8, costs),), memories))
    assert result.memories == (1,) and result.cost == (7, 1)


def test_weights_in_ram_keep_a_copy_in_a_memory_that_lasts() -> None:
    ram, flash = Memory("ram", (Bank(64),)), Memory("flash", (Bank(40),), lasting=True)
    weights = item("w", 32, (0, 9), lasting=True)
    assert place(PlacementProblem((weights,), (ram, flash))).homes == (1,)
    assert place(PlacementProblem((weights, weights), (ram, flash))) == NoRoom(24)


def big_problem(count: int, seed: int = 7) -> PlacementProblem:
    """A chain of operators with weights, code and a tensor each, on a board of five memories that are all too small."""
    draw = random.Random(seed)
    cycles = (1, 3, 8, 16, 40)
    items = []
    for n in range(count):
        for kind, size, uses, life in (
            ("weights", draw.randrange(1, 400) * 64, draw.choice((1, 1, 4, 16)), None),
            ("code", draw.randrange(5, 60) * 16, 40, None),
            ("tensor", draw.randrange(10, 500) * 64, draw.choice((1, 2, 9)), (n, n + draw.choice((2, 2, 3, 5)))),
        ):
            costs = tuple(None if kind == "tensor" and m == 4 else uses * size * c for m, c in enumerate(cycles))
            items.append(item(f"{kind}{n}", size, costs, life, 16, kind, lasting=kind != "tensor"))
    banks = ((1 << 17,), (1 << 18, 1 << 18), (1 << 20,), (1 << 23,), (1 << 23,))
    memories = tuple(
        Memory(f"m{m}", tuple(Bank(size, (0, 1000)) for size in sizes), m == 4) for m, sizes in enumerate(banks)
    )
    return PlacementProblem(tuple(items), memories)


def test_same_problem_same_placement_and_none_worse_than_what_is_known() -> None:
    problem = big_problem(20)
    whole = place(problem.only(("weights", "code"), 4).only(("tensor",), 1))
    assert isinstance(whole, PlacementResult)
    first, second = (place(problem, known=[whole], budget=0.2) for _ in range(2))
    assert isinstance(first, PlacementResult)
    assert first == second and first.lower_bound <= first.cost[0] <= whole.cost[0]
    assert place(problem, known=[first], budget=1e-4).cost <= first.cost  # nothing is found in so little time


def test_150_operators_on_five_memories() -> None:
    """Bounded by a budget that stands for less than ten seconds; here a smaller one."""
    problem = big_problem(150)
    result = place(problem, budget=0.4)
    assert isinstance(result, PlacementResult)
    assert result.gap < 0.15
    for m, memory in enumerate(problem.memories):
        assert result.used[m] <= memory.capacity


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (item("w", 8, (1,)), "'w': a cost per memory"),
        (item("w", 6, (1, 1), alignment=4), "'w': its 6 bytes"),
        (item("w", 8, (1, -1)), "'w': a cost is out of range"),
        (item("w", 8, (1, 2**60)), "'w': a cost is out of range"),
    ],
)
def test_numbers_that_make_no_sense(bad: Item, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        place(PlacementProblem((bad,), (Memory("a", (Bank(64),)), Memory("b", (Bank(64),)))))


def test_the_verifier_sees_each_kind_of_broken_placement() -> None:
    memories = (Memory("ram", (Bank(32, (1, 0)), Bank(32, (1, 0)))), Memory("flash", (Bank(64),), lasting=True))
    items = (
        item("w", 16, (0, 9), lasting=True),
        item("t", 8, (0, None), (0, 2), 8),
        item("u", 8, (0, None), (1, 3), 8),
    )
    problem = PlacementProblem(items, memories)
    good = place(problem)
    assert isinstance(good, PlacementResult) and good.homes == (1, None, None) and good.used == (32, 16)
    verify_placement(problem, good)
    for broken, message in (
        (replace(good, memories=(0, 1, 0)), "'t' may not be in flash"),
        (replace(good, offsets=(0, 20, 24)), "'t' is at 20"),
        (replace(good, offsets=(0, 16, 16)), "'t' and 'u' overlap"),
        (replace(good, offsets=(0, 8, 24)), "'w' and 't' overlap"),
        (replace(good, homes=(0, None, None)), "nothing keeps 'w'"),
        (replace(good, used=(32, 8)), "flash uses more than 8"),
        (replace(good, banks=(0, 1)), "ram uses 32 bytes"),
        (replace(good, cost=(2, 0)), "its cost is not"),
    ):
        with pytest.raises(InternalError, match=message):
            verify_placement(problem, broken)


def test_an_item_that_may_be_nowhere_has_no_room() -> None:
    assert isinstance(place(PlacementProblem((item("w", 8, (None,)),), (Memory("a", (Bank(64),)),))), NoRoom)


BOARD = """
name = "two-rams"
title = "Two RAMs"
mcu = "none"
target = "cortex-m4"
[core]
name = "core"
architecture = "armv7e-m"
clock_hz = { value = 1000000, source = "this test" }
active_power = { value = 100, source = "this test" }
sleep_power = { value = 10, source = "this test" }
[documents]
"""

REGION = """
[[regions]]
name = "{name}"
kind = "{kind}"
origin = {{ value = {origin}, source = "this test" }}
size = {{ value = {size}, source = "this test" }}
volatile = {volatile}
leakage = {{ value = {leakage}, source = "this test" }}
read_cycles = {{ value = {cycles}, source = "this test" }}
"""


def board_of(*regions: str) -> Board:
    return read_board(BOARD + "".join(regions), "test")


def ram(name: str, origin: int, size: int, cycles: int, *, bank: int = 0, kind: str = "sram", leakage: int = 0) -> str:
    text = REGION.format(
        name=name, kind=kind, origin=origin, size=size, cycles=cycles, leakage=leakage, volatile="true"
    )
    return text + (f'bank_size = {{ value = {bank}, source = "this test" }}\n' if bank else "")


FLASH = REGION.format(name="flash", kind="flash", origin=0, size=65536, cycles=2, leakage=0, volatile="false")


def test_alike_regions_side_by_side_are_one_memory_with_their_banks() -> None:
    board = board_of(FLASH, ram("a", 1 << 20, 64, 1, bank=32), ram("b", (1 << 20) + 64, 128, 1, bank=128))
    flash, both = memories_of(board)
    assert (flash.name, both.name) == ("flash", "a..b")
    assert [(region.name, size) for region, size in banks_of(both)] == [("a", 32), ("a", 32), ("b", 128)]
    assert region_at(both, 40, 8) == "a" and region_at(both, 60, 8) == "a..b" and region_at(both, 64, 8) == "b"
    apart = board_of(FLASH, ram("a", 1 << 20, 64, 1), ram("b", (1 << 20) + 64, 128, 2))
    assert [memory.name for memory in memories_of(apart)] == ["flash", "a", "b"]


def test_what_may_be_where() -> None:
    board = board_of(FLASH, ram("i", 1 << 20, 64, 1, kind="itcm"), ram("d", 1 << 21, 64, 1, kind="dtcm"))
    flash, itcm, dtcm = memories_of(board)
    legal = {kind: [may_hold(board, m, kind) for m in (flash, itcm, dtcm)] for kind in ("tensor", "weights", "code")}
    assert legal == {"tensor": [False, False, True], "weights": [True, False, True], "code": [True, True, True]}


def setting(period: float | None = None) -> Setting:
    """A fast RAM of two banks that leak 64 uW in all, a slow one, and two tensors that live one after the other."""
    board = board_of(
        FLASH, ram("fast", 1 << 20, 128, 1, bank=64, leakage=64), ram("slow", 1 << 21, 256, 3, bank=256, leakage=1)
    )
    fast, slow, far = Price(0.0), Price(2000.0, 2000.0, 5e6), Price(4000.0, 4000.0)
    tensors = (
        Part("t0", "tensor", 64, (None, fast, slow), Interval(0, 1), 8),
        Part("t1", "tensor", 64, (None, fast, slow), Interval(1, 2), 8),
    )
    weights = Part("w", "weights", 64, (Price(1000.0), fast, far))
    return Setting(board, "thimble", memories_of(board), Parts((*tensors, weights), Price(10_000.0)), period)


def test_time_and_energy_by_hand() -> None:
    """10,000 cycles at 1 MHz and 100 uW/MHz are 10 ms and 1 uJ; weights in flash take 1,000 cycles more."""
    given = setting()
    pairs = pairs_of(given)
    placed = {(p.weights, p.activations): p.placed for p in pairs}
    assert set(placed) == {(w, a) for w in ("flash", "fast", "slow") for a in ("fast", "slow")}
    one_bank = placed["flash", "fast"]
    assert one_bank is not None and one_bank.latency_ms == pytest.approx(11)
    assert one_bank.energy_uj == pytest.approx(1.1 + 32 * 11e-3)
    two_banks = placed["fast", "fast"]
    assert two_banks is not None and two_banks.energy_uj == pytest.approx(1.0 + 64 * 10e-3)
    slow = placed["flash", "slow"]
    assert slow is not None and slow.latency_ms == pytest.approx(15)
    assert slow.energy_uj == pytest.approx(1.5 + 2 * 5 + 1 * 15e-3)


def test_each_objective_reaches_its_least_and_none_is_worse_than_whole_memories() -> None:
    given = setting()
    pairs = pairs_of(given)
    fastest, leanest, mixed = (placed_best(given, objective, pairs) for objective in ("latency", "energy", "mix"))
    assert isinstance(fastest, Placed) and isinstance(leanest, Placed) and isinstance(mixed, Placed)
    assert fastest.latency_ms == min(p.placed.latency_ms for p in pairs if p.placed) and fastest.proven
    assert leanest.energy_uj == pytest.approx(1.1 + 32 * 11e-3) and leanest.gap < 0.05
    assert leanest.result.banks == (1, 1, 0)
    assert mixed.latency_ms <= leanest.latency_ms and mixed.energy_uj <= fastest.energy_uj


def test_between_two_inferences_banks_that_are_on_keep_their_bytes() -> None:
    given = setting(period=1.0)
    best = placed_best(given, "energy", pairs_of(given))
    assert isinstance(best, Placed)
    # All in the slow RAM's one bank: 32 uJ of a fast bank in a second are more than the accesses cost.
    assert best.result.banks == (1, 0, 1) and best.latency_ms == pytest.approx(15)
    assert best.energy_uj == pytest.approx(1.5 + 2 * 5 + 1.0 + 10 * (1 - 15e-3))
    hurried = setting(period=0.005)
    with pytest.raises(OptionError, match=r"0\.005 s is too short, an inference takes 10 ms"):
        placed_best(hurried, "latency", pairs_of(hurried))


def test_parts_of_a_program() -> None:
    """Every byte that the program places, each once; tensors that share bytes stay together."""
    model = pipeline.load("demo")
    for rung in (0, 2, 3, 5):
        program = compile_model(model, flavour=Flavour.PORTABLE, rung=rung)
        parts = slices(program)
        placed = {t for t, _ in program.places if program.graph.tensors[t].nbytes}
        assert sorted(t for part in parts for t in part.tensors) == sorted(placed)
        for one, other in itertools.combinations(parts, 2):
            apart = one.start + one.size <= other.start or other.start + other.size <= one.start
            assert apart or not one.lifetime.overlaps(other.lifetime)
        if rung == 2:
            assert all(len(part.tensors) == 1 for part in parts)


@pytest.mark.parametrize(
    ("board", "weights", "activations"), [("apollo4-plus", "mram", "tcm0..tcm1"), ("stm32h743", "flash", "dtcm")]
)
def test_whole_memories_cost_what_the_cost_model_says(board: str, weights: str, activations: str) -> None:
    model, device = pipeline.load("demo"), load_board(board)
    given = setting_of(model, device)
    (pair,) = (p for p in pairs_of(given) if (p.weights, p.activations) == (weights, activations))
    program = compile_model(model, flavour=flavour_of(target_named(device.target)), rung=3)
    arena = activations.split("..", maxsplit=1)[0]
    whole = cost_of_layout(program, device, layout=Layout(weights, arena, weights, arena))
    assert pair.placed is not None
    assert pair.placed.latency_ms == pytest.approx(whole.latency_ms, rel=1e-3)
    assert pair.placed.energy_uj == pytest.approx(whole.energy_uj, rel=1e-3)


@pytest.mark.parametrize("runtime", ["thimble", "tflm-cmsis-nn"])
def test_place_as_a_user_meets_it(
    runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "all.svg"
    words = [
        "place",
        "demo",
        "--board",
        "apollo4-plus",
        "--runtime",
        runtime,
        "--all",
        "--json",
        "--plot",
        str(picture),
    ]
    monkeypatch.setattr("sys.argv", ["thimble", *words])
    with pytest.raises(SystemExit) as stopped:
        run()
    value = json.loads(capsys.readouterr().out)
    assert stopped.value.code == 0 and value["fits"] and value["proven"] and picture.stat().st_size > 5000
    assert {"what", "region", "bytes"} <= set(value["placements"][0])
    assert all(row["region"] != "mram" for row in value["placements"] if row["kind"] not in ("weights", "code"))
    assert {(p["weights"], p["activations"]) for p in value["pairs"]} == {
        (w, a) for w in ("mram", "tcm0..tcm1", "ssram0..ssram1") for a in ("tcm0..tcm1", "ssram0..ssram1")
    }
    assert value["latency_ms"] <= min(pair["latency_ms"] for pair in value["pairs"])
    (reference,) = (p for p in value["pairs"] if (p["weights"], p["activations"]) == ("tcm0..tcm1", "tcm0..tcm1"))
    assert reference["relative_latency"] == reference["relative_energy"] == 1.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--objective", "size"), "--objective size: there are latency, energy, mix"),
        (("--period", "soon"), "--period: 'soon' is not a time"),
        (("--runtime", "magic"), "no runtime named 'magic'"),
        (("--plot", "x.bmp"), "x.bmp: a picture is"),
    ],
)
def test_mistakes(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["thimble", "place", "demo", "--board", "apollo4-plus", *words])
    with pytest.raises(SystemExit) as stopped:
        run()
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_boards_side_by_side() -> None:
    """Those that fit first, the fastest of them first."""
    rows = compared(pipeline.load("demo"), ["arduino-nano", "stm32h743", "apollo4-plus"])
    assert [row.board.name for row in rows] == ["stm32h743", "apollo4-plus", "arduino-nano"]
    assert [row.fits for row in rows] == [True, True, False]
    assert rows[2].latency_ms is None and all(row.latency_ms and row.energy_uj for row in rows[:2])


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1.0), ("250ms", 0.25), ("0.5", 0.5), ("2min", 120.0)])
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--period") == pytest.approx(seconds)
