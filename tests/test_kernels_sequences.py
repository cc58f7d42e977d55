# SPDX-License-Identifier: Apache-2.0
"""LSTM, SVDF and int16 with weights of int8: kernels with packed arithmetic and Helium against the NumPy references."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import test_reference_convolution as grids
import test_reference_models as recurrent
from compiled import assert_same, check_compiled, edge_inputs
from joined import together
from test_emulate import each
from test_reference_convolution import Maker
from tflm_models import I8, I16, I32, I64, single
from thimble.compile import compile_model
from thimble.emulate import emulate
from thimble.execute import Executor
from thimble.ir import DType, Kind, Model, Padding, Tensor
from thimble.kernel import Choice, Flavour
from thimble.lower import lowered
from thimble.ops import OPERATORS
from thimble.rewrites import compilable
from thimble.streaming import Segment

FLAVOURS = (Flavour.DSP, Flavour.MVE)
MACHINES = {"mps2-an386": Flavour.DSP, "mps3-an547": Flavour.MVE}


def kernels(model: Model, flavour: Flavour, work_space: int | None = None) -> set[str]:
    """What operators are lowered to."""
    graph = compilable(model)
    choices = {op.id: Choice(flavour, work_space) for op in graph.ops}
    units = lowered(graph, [Segment((op.id,)) for op in graph.ops], flavour, choices)
    return {call.kernel for unit in units for calls in unit.calls for call in calls}


def svdf(kind: DType, rank: int, steps: int, units: int, depth: int, batch: int = 1) -> Model:
    """Zero points of all kinds, and weights down to -128."""
    make = Maker(97 * steps + 7 * units + depth)
    x, feature = make.tensor((batch, depth), I8), make.weights((units * rank, depth), I8)
    time = make.weights((units * rank, steps), kind)
    state = make.tensor((batch, units * rank * steps), kind, 0.11, Kind.VARIABLE)
    inputs = [x, lowest(feature) if steps % 2 else feature, time, make.bias(state, time, units, I32), state]
    return single(OPERATORS["SVDF"](rank=rank), inputs, [make.tensor((batch, units), I8, 0.7)])


def lowest(tensor: Tensor) -> Tensor:
    """With its first two values -128, which do not go together into a halfword."""
    return replace(tensor, data=b"\x80\x80" + (tensor.data or b"")[2:])


def lstm(shape: tuple[int, int, int], units: int, seed: int, **options: float) -> Model:
    """Every other one has a weight of -128 in each matrix for the input."""
    made = recurrent.lstm(I8, shape, units, seed, **options)  # type: ignore[arg-type]
    tensors = [lowest(t) if 1 <= t.id <= 4 and shape[2] > 1 and seed % 2 else t for t in made.main.tensors]
    return replace(made, graphs=(replace(made.main, tensors=tuple(tensors)),))


def convolution(
    kind: str, size: tuple[int, int], kernel: tuple[int, int], channels: tuple[int, int], seed: int
) -> Model:
    make, depthwise = Maker(seed), kind == "DEPTHWISE_CONV_2D"
    x = make.tensor((1, *size, channels[0]), I16)
    shape = (1, *kernel, channels[0]) if depthwise else (channels[1], *kernel, channels[0])
    outputs = channels[not depthwise]
    filters = make.weights(shape, I8, axis=3 if depthwise else 0, scales=(1, outputs)[seed % 2])
    options = {"padding": (Padding.SAME, Padding.VALID)[seed // 2 % 2], "stride_h": 1 + seed % 3, "stride_w": 1}
    bias = make.bias(x, filters, outputs, (I64, None)[seed // 4 % 2])
    return grids._finish(kind, options, [x, filters, bias], make, channels[0])


def dense(rows: int, depth: int, units: int) -> Model:
    make = Maker(depth)
    x, weights = make.tensor((rows, depth), I16), make.weights((units, depth), I8)
    return grids._finish("FULLY_CONNECTED", {}, [x, weights, make.bias(x, weights, units, I64)], make, depth)


def models() -> Iterator[Model]:
    for number, (steps, kind) in enumerate(itertools.product((1, 4, 7, 18), (I8, I16))):
        yield svdf(kind, 1 + number % 3, steps, 2 + number % 5, 1 + number, 1 + number % 2)
    shapes = [((1, 1, 1), 1), ((1, 3, 5), 4), ((2, 2, 18), 6), ((2, 3, 3), 9)]
    for seed, ((shape, units), clip) in enumerate(itertools.product(shapes, (0.0, 0.9))):
        zero = (-128, 9, 127)[seed % 3]
        yield lstm(shape, units, seed, zero=zero, clip=clip, cell_scale=2.0 ** -(10 + seed % 6))
    for weight in (0.0001, 0.03, 60.0):
        yield lstm((1, 2, 6), 5, 2, weight=weight, hidden=0.004)
    for seed, kind in enumerate(("CONV_2D", "DEPTHWISE_CONV_2D") * 4):
        yield convolution(kind, (5, 4 + seed % 3), (1 + seed % 3, 1 + seed // 2 % 3), (1 + seed, 3 + seed), seed)
    yield from (dense(2, depth, 2 + depth % 4) for depth in (1, 4, 23, 515))
    yield dense(1, 2999, 2)  # more than int32 holds


@cache
def merged() -> Model:
    """All of them as one."""
    return together([compilable(model) for model in models()])


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
def test_equal_the_references(flavour: Flavour) -> None:
    check_compiled(merged(), flavour=flavour)


@pytest.mark.parametrize("flags", [("-O2",), ("-Os", "-DTHIMBLE_SHARE_KERNELS")], ids=["special", "shared"])
@each(*MACHINES)
def test_equal_the_references_on(machine: str, flags: tuple[str, ...]) -> None:
    inputs = list(edge_inputs(merged()))[:2]
    program = compile_model(merged(), flavour=MACHINES[machine], optimize=None)
    measured = emulate(program, inputs, machine, flags=flags)
    reference = Executor(merged())
    for outputs, values in zip(measured.outputs, inputs, strict=True):
        for got, wanted in zip(outputs, reference.run(*values), strict=True):
            assert_same(got, wanted)
    assert measured.outside_accesses == 0, measured.first_outside


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
def test_which_kernels_are_chosen(flavour: Flavour) -> None:
    name = flavour.value
    assert kernels(merged(), flavour) == {
        f"svdf_s8_{name}",
        f"lstm_s8_{name}",
        f"conv_2d_s16_{name}",
        f"depthwise_conv_2d_s16_{name}",
        "weighted_s16",
        *(("svdf_s8", "lstm_s8") if flavour is Flavour.DSP else ()),  # few steps, large multipliers
    }


def test_work_space_is_kept_to() -> None:
    """Kernels with packed arithmetic need some, and give way to portable ones."""
    found = kernels(merged(), Flavour.DSP, 0)
    assert found == {"svdf_s8", "lstm_s8", "weighted_s16", "depthwise_conv_2d_s16_dsp"}


def test_zero_points_of_weights_are_left_to_portable_kernels() -> None:
    made = lstm((1, 2, 3), 4, 0)
    tensors = [
        replace(t, quant=replace(t.quant, zero_point=(3,))) if t.id == 2 and t.quant else t for t in made.main.tensors
    ]
    model = replace(made, graphs=(replace(made.main, tensors=tuple(tensors)),))
    assert [kernels(model, flavour) for flavour in FLAVOURS] == [{"lstm_s8"}, {"lstm_s8"}]


@settings(max_examples=6)
@given(st.tuples(*[st.integers(1, 9)] * 4), st.integers(0, 1000), st.sampled_from(FLAVOURS))
def test_lstms(extents: tuple[int, int, int, int], seed: int, flavour: Flavour) -> None:
    options = {"zero": seed % 256 - 128, "cell_scale": 2.0 ** -(8 + seed % 8), "weight": 0.001 + seed / 20000}
    check_compiled(lstm(extents[:3], extents[3], seed, **options), flavour=flavour)
