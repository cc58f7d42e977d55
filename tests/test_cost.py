# SPDX-License-Identifier: Apache-2.0
"""What an inference costs on a board: cycles and energy by hand on small boards, runtimes, and the calibration."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import pytest

from thimble.board import Board, Figure, board_names, load_board, read_board
from thimble.compile import compile_model, flavour_of
from thimble.cost import (
    Cost,
    Layout,
    arena_price,
    cache_of,
    code_price,
    constants_price,
    cost_of,
    default_layout,
    region_named,
    runtime_cost,
)
from thimble.errors import OptionError
from thimble.kernel import Flavour
from thimble.pipeline import load
from thimble.program import Program
from thimble.runtimes import KINDS, OURS, core_named, runtime_named, runtime_names, tables
from thimble.target import target_named

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "src" / "thimble" / "data" / "kws_ds_cnn.tflite"

# 10 pJ per cycle; flash of 16 bytes per access and 4 wait states; RAM without; slow RAM of 32 bits with 2 wait states.
SMALL = """\
name = "small"
title = "Small board"
mcu = "X1"
target = "cortex-m4"

[core]
name = "Cortex-M4"
architecture = "armv7e-m"
clock_hz = { value = 100000000, source = "DOC, 1" }
active_power = { value = 10, source = "DOC, 1" }
sleep_power = { value = 2, source = "DOC, 1" }

[[regions]]
name = "flash"
kind = "flash"
origin = { value = 0, source = "DOC, 2" }
size = { value = 1048576, source = "DOC, 2" }
volatile = false
width_bits = { value = 128, source = "DOC, 2" }
read_cycles = { value = 5, source = "DOC, 2" }
read_energy = { value = 3, source = "DOC, 2" }

[[regions]]
name = "ram"
kind = "sram"
origin = { value = 0x20000000, source = "DOC, 2" }
size = { value = 262144, source = "DOC, 2" }
volatile = true
leakage = { value = 8, source = "DOC, 2" }
retention = { value = 1, source = "DOC, 2" }

[[regions]]
name = "slow"
kind = "sram"
origin = { value = 0x30000000, source = "DOC, 2" }
size = { value = 1048576, source = "DOC, 2" }
volatile = true
width_bits = { value = 32, source = "DOC, 2" }
read_cycles = { value = 3, estimate = "assumed" }
write_cycles = { value = 2, source = "DOC, 2" }

[documents]
DOC = "A datasheet, rev 1"
"""


@pytest.fixture(scope="module")
def small() -> Board:
    return read_board(SMALL, "small.toml")


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_model(load(MODEL), flavour=Flavour.DSP)


def with_cache(board: Board, size: float) -> Board:
    """The same with a cache in front of the flash."""
    flash, *rest = board.regions
    return msgspec.structs.replace(
        board, regions=(msgspec.structs.replace(flash, cache_bytes=Figure(size, "DOC, 3")), *rest)
    )


def test_constants_wait_once_per_access_of_the_memory(small: Board) -> None:
    price = constants_price(small, region_named(small, "flash"), words=400, size=640)
    assert price.stalls == 400  # 1,600 bytes are 100 accesses of 16 bytes, each waits 4 cycles
    assert price.cycles == price.stalls
    assert price.access == 4800  # 3 pJ per byte


def test_a_cache_that_holds_the_constants_is_filled_once(small: Board) -> None:
    held, larger = with_cache(small, 1024), with_cache(small, 512)
    # 640 bytes are 40 lines of 16 bytes; a cache of 512 bytes has forgotten them before they are used again.
    assert constants_price(held, region_named(held, "flash"), 400, 640).stalls == 160
    assert constants_price(larger, region_named(larger, "flash"), 400, 640).stalls == 400


def test_activations_wait_for_reads_and_writes(small: Board) -> None:
    slow = region_named(small, "slow")
    assert arena_price(small, slow, reads=10, writes=7, size=40).stalls == 10 * 2 + 7 * 1
    assert arena_price(small, region_named(small, "ram"), 10, 7, 40).stalls == 0


def test_code_is_fetched_from_memories_without_a_cache(small: Board) -> None:
    flash = region_named(small, "flash")
    assert code_price(small, flash, 1000).stalls == pytest.approx(1000 * 2.6 / 16 * 4)
    assert code_price(with_cache(small, 8192), flash, 1000).stalls > 0  # that region has none
    cached = with_cache(small, 8192)
    assert code_price(cached, region_named(cached, "flash"), 1000).stalls == 0


def test_caches_of_the_core_serve_what_is_not_tightly_coupled() -> None:
    board = load_board("nucleo-h7a3zi-q")
    assert cache_of(board, region_named(board, "flash")) == (16384, 32)
    assert cache_of(board, region_named(board, "dtcm"))[0] == 0
    disco = load_board("disco-f746ng")
    assert cache_of(disco, region_named(disco, "qspi-flash")) == (4096, 4)  # timings of external memories are per word


def test_parts_add_up(program: Program, small: Board) -> None:
    cost = cost_of(program, small)
    assert cost.cycles == pytest.approx(sum(op.cycles for op in cost.operators))
    assert cost.latency_ms == pytest.approx(cost.cycles / 1e5)  # 100 MHz
    assert cost.core_uj == pytest.approx(cost.cycles * 10 / 1e6)
    assert cost.leakage_uj == pytest.approx(8 * cost.latency_ms / 1e3)  # 8 uW, of the RAM in use
    assert cost.core_uj + cost.access_uj == pytest.approx(sum(op.energy_nj for op in cost.operators) / 1e3)
    assert cost.sleep_uj == 0
    assert [op.op for op in cost.operators] == [step.op for step in program.steps]


def test_the_rest_of_a_period_is_slept(program: Program, small: Board) -> None:
    cost = cost_of(program, small, period=1.0)
    assert cost.sleep_uj == pytest.approx((2 + 1) * (1.0 - cost.latency_ms / 1e3))  # core, and the RAM's retention
    with pytest.raises(OptionError, match=r"a period of 1e-06 s is too short: an inference takes"):
        cost_of(program, small, period=1e-6)


def test_regions_that_are_powered_leak(program: Program, small: Board) -> None:
    assert cost_of(program, small, powered=("flash",)).leakage_uj == 0


def test_slower_memories_never_cost_less(program: Program, small: Board) -> None:
    fast = default_layout(small)
    assert fast == Layout("flash", "ram", "flash", "ram")
    cost = cost_of(program, small, layout=fast).cycles
    assert cost_of(program, small, layout=replace(fast, arena="slow")).cycles > cost
    assert cost_of(program, small, layout=replace(fast, stack="slow")).cycles > cost
    assert cost_of(program, small, layout=replace(fast, code="ram")).cycles < cost
    with pytest.raises(OptionError, match="small has no region 'tcm'; it has flash, ram, slow"):
        cost_of(program, small, layout=replace(fast, arena="tcm"))


def test_the_default_arena_is_in_the_fastest_memory_that_holds_it(small: Board) -> None:
    assert default_layout(small, 262144).arena == "ram"
    assert default_layout(small, 262145).arena == "slow"
    assert default_layout(small, 2**30).arena == "slow"  # where nothing does, the largest


def test_estimates_are_named(program: Program, small: Board) -> None:
    layout = replace(default_layout(small), arena="slow")
    cost = cost_of(program, small, layout=layout)
    assert "slow: read_cycles 3: assumed" in cost.estimates
    assert any(line.startswith("cycles per instruction 1.") for line in cost.estimates)
    assert not any("write_cycles" in line or "power" in line for line in cost.estimates)  # sourced
    asleep = cost_of(program, load_board("blue-pill"), period=1.0)
    assert "power while asleep 0: not known, counted as nothing" in asleep.estimates


@pytest.mark.parametrize("name", board_names())
def test_every_board_has_a_cost(name: str) -> None:
    board = load_board(name)
    flavour = flavour_of(target_named(board.target))
    cost = cost_of(compiled(flavour), board)
    assert 0.1 < cost.latency_ms < 60_000
    assert 1 < cost.energy_uj < 1e7
    assert all(op.cycles >= op.stall_cycles >= 0 for op in cost.operators)
    for runtime in runtime_names()[1:]:
        if runtime_named(runtime).kernels in core_named(board.target).tables:
            other = cost_of(compiled(flavour), board, runtime=runtime)
            assert other.cycles > 0 and other.runtime == runtime


_COMPILED: dict[Flavour, Program] = {}


def compiled(flavour: Flavour) -> Program:
    if flavour not in _COMPILED:
        _COMPILED[flavour] = compile_model(load(MODEL), flavour=flavour)
    return _COMPILED[flavour]


def test_runtimes_that_are_unknown_or_not_for_a_core(program: Program, small: Board) -> None:
    with pytest.raises(OptionError, match="no runtime named 'tflite'; known: thimble, tflm-reference, tflm-cmsis-nn"):
        cost_of(program, small, runtime="tflite")
    with pytest.raises(OptionError, match="'TFLM with CMSIS-NN' on 'cortex-m0'"):
        cost_of(program, load_board("microbit"), runtime="tflm-cmsis-nn")
    with pytest.raises(OptionError, match="no costs for the target 'z80'; known: cortex-m0"):
        core_named("z80")


def test_constants_say_where_they_are_from() -> None:
    found = tables()
    assert found.cores.keys() >= {"cortex-m0", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "riscv32", "avr"}
    for runtime in found.runtimes.values():
        assert set(runtime.factors) <= set(KINDS)
    for table in found.instructions.values():
        assert set(table) == set(KINDS)
        assert all(cost >= 0 for kind in table.values() for cost in kind.values())
    for core in found.cores.values():
        assert set(core.tables.values()) <= set(found.instructions)


def test_a_kind_without_a_factor_takes_the_mean_of_the_others() -> None:
    runtime = runtime_named("plumerai")
    four = [runtime.factor(kind) for kind in KINDS[:4]]
    assert runtime.factor("other") == pytest.approx(np.exp(np.log(four).mean()))
    assert runtime_named("tflm-reference").factor("other") == 1.0


@pytest.mark.parametrize(
    ("model", "kernels", "board", "emulated"),
    [  # instructions of TFLM 90b983c on emulated Cortex-M4 and M55, as docs and benchmarks give them
        ("kws_ref_model_int8", "tflm-cmsis-nn", "mps2-an386", 7_697_708),
        ("vww_96_int8", "tflm-cmsis-nn", "mps2-an386", 24_101_515),
        ("pretrainedResnet_quant", "tflm-cmsis-nn", "mps2-an386", 29_863_912),
        ("ad01_int8", "tflm-cmsis-nn", "mps2-an386", 582_889),
        ("person_detect", "tflm-cmsis-nn", "mps2-an386", 22_928_048),
        ("kws_ref_model_int8", "tflm-reference", "mps2-an386", 43_040_115),
        ("pretrainedResnet_quant", "tflm-reference", "mps2-an386", 107_401_502),
        ("pretrainedResnet_quant", "tflm-cmsis-nn", "mps3-an547", 4_912_108),
    ],
)
def test_tflm_takes_what_it_takes_emulated(
    models_dir: Path, model: str, kernels: str, board: str, emulated: int
) -> None:
    graph = load(models_dir / f"{model}.tflite").main
    cost: Cost = runtime_cost(graph, load_board(board), kernels)
    stalls = sum(op.stall_cycles for op in cost.operators)
    cpi = core_named(load_board(board).target).cycles_per_instruction.value
    assert (cost.cycles - stalls) / cpi == pytest.approx(emulated, rel=0.1)


def test_the_calibration_finds_constants_that_were_put_in() -> None:
    mlperf = _benchmark()
    random = np.random.default_rng(1)
    planted = mlperf.Constants(
        {"cortex-m4": 1.4, "cortex-m7": 0.9},
        {"plumerai": mlperf._all_kinds(np.array([0.6, 0.6, 0.6, 0.6]))},
    )

    def row(core: str, runtime: str, number: int) -> object:
        work = random.uniform(1e5, 1e7, len(KINDS))
        blank = mlperf.Row("v1", f"{core}-{number}", runtime, "kws", 1.0, None, work, 1e5, 0.0, 1e8, core)
        return replace(blank, latency_ms=planted.cycles(blank) / 1e5)

    cores, runtimes = ("cortex-m4", "cortex-m7"), ("plumerai", "tflm-cmsis-nn")
    rows = [row(core, runtime, number) for core in cores for runtime in runtimes for number in range(4)]
    found = mlperf.fit(rows)
    assert found.cpi == pytest.approx(planted.cpi, rel=1e-3)
    assert found.factors["plumerai"] == pytest.approx(planted.factors["plumerai"], rel=1e-2)
    assert max(abs(mlperf.latency_error(found, r)) for r in rows) < 0.01


def test_the_calibration_is_what_ships() -> None:
    found = _benchmark().shipped()
    assert set(found.cpi) == {"cortex-m4", "cortex-m33", "cortex-m7"}
    assert set(found.factors) == {"x-cube-ai-7.1", "x-cube-ai", "plumerai", "tvm"}
    assert OURS not in found.factors


def _benchmark() -> ModuleType:
    """benchmarks/mlperf.py, which is not in the package."""
    spec = importlib.util.spec_from_file_location("thimble_mlperf", ROOT / "benchmarks" / "mlperf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
