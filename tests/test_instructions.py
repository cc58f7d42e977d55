# SPDX-License-Identifier: Apache-2.0
"""Instructions and accesses of kernel calls, predicted without the emulator and held against it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_emulate import each
from test_reference_movement import fixed, free, one
from tflm_models import conv
from thimble.compile import compile_model, flavour_of
from thimble.emulate import Accesses, emulate
from thimble.emulation.machines import MACHINES
from thimble.errors import OptionError, ThimbleError
from thimble.features.of_call import features_of, rough_features
from thimble.features.windows import flat, windows
from thimble.instructions import NOTHING, SAME_AS, Traffic, costs_of, tables, traffic_of, traffic_of_program
from thimble.ir import DType, Model
from thimble.kernel import Choice, Flavour, KernelCall, View
from thimble.lower import lowered
from thimble.probes import RECIPES, TYPES, model_of
from thimble.program import Program
from thimble.rewrites import compilable
from thimble.streaming import Segment
from thimble.target import target_named
from thimble.zoo.keywords import ds_cnn_digits

CORES = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55", "riscv32")
WITHIN = 0.10
"""Of all instructions of a network; of a step, in the median."""


def calls_of(model: Model, flavour: Flavour, work_space: int | None = None) -> tuple[KernelCall, ...]:
    graph = compilable(model)
    choices = {op.id: Choice(flavour, work_space) for op in graph.ops}
    units = lowered(graph, [Segment((op.id,)) for op in graph.ops], flavour, choices)
    return tuple(call for unit in units for calls in unit.calls for call in calls)


def probed(flavour: Flavour, work_space: int | None) -> Iterator[KernelCall]:
    """The calls of every operator's small model."""
    for kind in RECIPES:
        for dtype in TYPES:
            try:
                model = model_of(kind, dtype)
                yield from calls_of(model, flavour, work_space) if model is not None else ()
            except ThimbleError:
                continue


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
def test_windows_are_counted_as_a_loop_counts_them(
    size: int, kernel: int, stride: int, dilation: int, pad: int
) -> None:
    outputs = max(1, (size + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1)
    starts = [at * stride - pad for at in range(outputs)]
    taps = [[0 <= start + i * dilation < size for i in range(kernel)] for start in starts]
    names = {"kernel": kernel, "stride": stride, "dilation": dilation}
    p = {f"{name}_{axis}": value for name, value in names.items() for axis in "hw"} | {"pad_top": pad, "pad_left": pad}
    p |= {f"in.{side}": size for side in ("height", "width")} | {f"out.{side}": outputs for side in ("height", "width")}
    found = windows(p | {"out.channels": 1})
    inside = [sum(row) for row in taps]
    assert found.cells == sum(inside) ** 2
    assert found.over_rows == sum(not all(row) for row in taps) * outputs
    assert found.open == ("" if all(map(all, taps)) else "_rc")


def test_parameters_have_dotted_names() -> None:
    fields = (("a", 1), ("b", (("c", 2), ("d", (3, 4)))), ("e", float("inf")))
    assert dict(flat(fields)) == {"a": 1, "b.c": 2, "b.d.0": 3, "b.d.1": 4, "e": 0}


@pytest.mark.parametrize("work_space", [None, 300, 0])
@pytest.mark.parametrize("flavour", [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE, Flavour.CMSIS_NN])
def test_every_kernel_has_features(flavour: Flavour, work_space: int | None) -> None:
    for call in probed(flavour, work_space):
        for counts in (features_of(call), features_of(call, by_row=True), rough_features(call)):
            assert counts.get("calls", 0) >= 1, call.kernel
            assert all(count >= 0 for count in counts.values()), call.kernel


@pytest.mark.parametrize("core", [*CORES, *SAME_AS])
def test_costs_are_known_and_not_negative(core: str) -> None:
    kernels = costs_of(core)
    assert {"conv_2d_s8", "depthwise_conv_2d_s8", "copy", "softmax_s8"} <= kernels.keys()
    values = [value for costs in kernels.values() for five in costs.values() for value in five]
    assert all(value >= 0 for value in values)
    assert sorted(tables()) == sorted(CORES)


def test_a_batch_takes_as_much_as_its_images() -> None:
    models = [conv((n, 5, 6, 3), (4, 3, 3, 3), (n, 5, 6, 4)) for n in (1, 2)]
    alone, twice = (traffic_of(calls_of(model, Flavour.PORTABLE)[0], "cortex-m4") for model in models)
    assert twice.instructions == pytest.approx(2 * alone.instructions)


def test_what_was_not_measured_is_said() -> None:
    call = calls_of(ds_cnn_digits(), Flavour.PORTABLE)[0]
    known = traffic_of(call, "cortex-m4")
    unknown = traffic_of(KernelCall("new", "new.h", call.reads, call.writes), "cortex-m4")
    assert known.measured and not unknown.measured
    assert unknown.instructions > call.writes[0].tensor.elements
    assert not (known + unknown).measured


def test_an_unknown_core_is_refused() -> None:
    with pytest.raises(OptionError, match="no instruction counts for 'z80'; known: cortex-m0, "):
        costs_of("z80")


def test_traffic_adds_up() -> None:
    one = Traffic(1, 2, 3, 4, True, 5)
    assert NOTHING + one + one == one.times(2) == Traffic(2, 4, 6, 8, True, 10)


def noise(program: Program) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(1)
    tensors = [program.graph.tensors[i] for i in program.graph.inputs]
    return tuple(random.integers(-128, 128, t.shape, np.int8) for t in tensors)


@each("mps2-an385", "mps2-an386", "mps3-an547", "riscv32")
def test_a_network_takes_what_is_predicted(machine: str) -> None:
    core = MACHINES[machine].target
    program = compile_model(ds_cnn_digits(), flavour=flavour_of(target_named(core)))
    seen = emulate(program, [noise(program)], machine, per_step=True)
    guess = traffic_of_program(program, core)
    total = sum(guess, NOTHING)
    assert total.measured
    assert total.instructions == pytest.approx(seen.instructions, rel=WITHIN)
    assert total.constant_reads == pytest.approx(seen.accesses.constants, rel=2 * WITHIN)
    assert total.arena_reads == pytest.approx(seen.accesses.arena_reads, rel=2 * WITHIN)
    assert total.arena_writes == pytest.approx(seen.accesses.arena_writes, rel=2 * WITHIN)
    steps = zip(program.steps, guess, seen.steps, strict=True)
    off = [abs(g.instructions / n - 1) for step, g, n in steps if not step.is_view]
    assert float(np.median(off)) < WITHIN


@each("mps2-an386")
def test_accesses_are_counted_in_words(machine: str) -> None:
    """A copy of 40 words in one piece that is not in place, and zeros into 10 words of four bytes."""
    model = one("PAD", [free((1, 10, 4, 4), DType.INT8), fixed([[0, 0], [0, 0], [0, 0], [0, 4]])], DType.INT8)
    program = compile_model(model, flavour=Flavour.PORTABLE, rung=0)
    seen = emulate(program, [noise(program)], machine, per_step=True)
    (step,) = seen.step_accesses
    assert (step.arena_reads, step.arena_writes) == (40, 80)
    assert seen.accesses.arena_writes == 80
    assert seen.accesses.stack >= step.stack


@each("mps2-an386")
def test_without_memory_there_are_no_accesses(machine: str) -> None:
    program = compile_model(conv((1, 5, 6, 3), (4, 3, 3, 3), (1, 5, 6, 4)), flavour=Flavour.PORTABLE)
    assert emulate(program, [noise(program)], machine, memory=False).accesses == Accesses()


def test_a_view_takes_nothing() -> None:
    reshape = one("RESHAPE", [free((2, 4), DType.INT8), fixed([4, 2])], DType.INT8)
    program = compile_model(reshape, flavour=Flavour.PORTABLE, rung=3)
    assert [step.is_view for step in program.steps] == [True]
    assert traffic_of_program(program, "cortex-m4") == (NOTHING,)
    assert isinstance(program.steps[0].reads[0].view, View)
