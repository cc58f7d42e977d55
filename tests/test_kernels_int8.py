# SPDX-License-Identifier: Apache-2.0
"""The int8 kernels with weights, in every flavour, on the host: grids of one-operator models, and random ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, check_compiled, edge_inputs
from test_emulate import each
from test_reference_convolution import ACTIVATIONS, Maker, _finish, convolutions, dense
from thimble.compile import compile_model
from thimble.emulate import emulate
from thimble.execute import Executor
from thimble.ir import DType, Model, Padding, Tensor
from thimble.kernel import Flavour

I8 = DType.INT8
FLAVOURS = [Flavour.PORTABLE, Flavour.DSP, Flavour.MVE]
GRID = [*convolutions(((I8, I8),)), *dense(((I8, I8),))]


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
@pytest.mark.parametrize(("name", "model"), GRID, ids=[name for name, _ in GRID])
def test_grid(name: str, model: Model, flavour: Flavour) -> None:
    check_compiled(model, flavour=flavour)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, object]:
    strides = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    dilated = strides == (1, 1) and draw(st.integers(0, 4)) == 0
    return {
        "padding": draw(st.sampled_from(Padding)),
        "stride_h": strides[0],
        "stride_w": strides[1],
        "dilation_h_factor": 1 + dilated,
        "dilation_w_factor": 1 + dilated,
        "fused_activation_function": draw(st.sampled_from(ACTIVATIONS)),
    }


def tamed(weights: Tensor, *, faint: bool) -> Tensor:
    """Without -128, which packed weights do not hold beside some others; if faint, small, for large multipliers."""
    values = np.maximum(np.frombuffer(weights.data or b"", np.int8), -127)
    return replace(weights, data=(values // 32 if faint else values).astype(np.int8).tobytes())


def amplified(model: Model, factor: float) -> Model:
    """The output's scale divided by a factor, so that multipliers may be above one."""
    graph = model.main
    tensors = list(graph.tensors)
    quant = tensors[graph.outputs[0]].quant
    assert quant is not None
    scale = float(np.float32(quant.scale[0] / factor))
    tensors[graph.outputs[0]] = replace(tensors[graph.outputs[0]], quant=replace(quant, scale=(scale,)))
    return replace(model, graphs=(replace(graph, tensors=tuple(tensors)),))


@st.composite
def layers(draw: st.DrawFn) -> Model:
    """A convolution or depthwise convolution whose shape may suit a special kernel, or just not."""
    make = Maker(draw(st.integers(0, 9999)))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (1, 3), (3, 1), (5, 3), (2, 4), (3, 5), (5, 5)]))
    rows, cols = draw(st.integers(5, 9)), draw(st.integers(5, 12))
    depth = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 20, 33]))
    options = draw(windows())
    rows, cols = max(rows, 2 * kernel[0] - 1), max(cols, 2 * kernel[1] - 1)
    x = make.tensor((draw(st.integers(1, 2)), rows, cols, depth), I8)
    if depthwise := draw(st.booleans()):
        options["depth_multiplier"] = draw(st.sampled_from([1, 1, 1, 2])) if depth < 9 else 1
        count = scales = depth * options["depth_multiplier"]
        axis, shape = 3, (1, *kernel, count)
    else:
        count = draw(st.sampled_from([1, 2, 3, 4, 8, 13, 17]))
        groups = draw(st.sampled_from([1, 1, 2])) if count % 2 == depth % 2 == 0 else 1
        scales, axis, shape = draw(st.sampled_from([1, count])), 0, (count, *kernel, depth // groups)
    filters = make.weights(shape, I8, axis=axis, scales=scales)
    kind = draw(st.sampled_from(["wild", "tame", "tame", "tame", "faint"]))
    if kind != "wild":
        filters = tamed(filters, faint=kind == "faint")
    bias = make.bias(x, filters, count, DType.INT32 if depthwise else draw(st.sampled_from([DType.INT32, None])))
    name = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    model = _finish(name, options, [x, filters, bias], make, kernel[0] * kernel[1] * (1 if depthwise else depth))
    return amplified(model, draw(st.sampled_from([30.0, 100.0, 400.0]))) if kind == "faint" else model


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
@given(model=layers())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_random_layers(flavour: Flavour, model: Model) -> None:
    check_compiled(model, flavour=flavour)


@given(model=layers())
@settings(max_examples=8, deadline=None, derandomize=True)
def test_cores_without_long_multiplication(model: Model) -> None:
    check_compiled(model, flags=(*SANITIZED, "-DTHIMBLE_SPLIT_MULTIPLY"))


@pytest.mark.parametrize(("groups", "count"), [(1, 6), (2, 6), (2, 8)])
@each("microbit")
def test_weights_by_the_word_on_an_m0(machine: str, groups: int, count: int) -> None:
    """Four filters at once with sums in high registers; where a second group is not aligned, byte by byte."""
    make = Maker(count)
    x = make.tensor((1, 4, 5, 3 * groups), I8)
    filters = make.weights((count * groups, 3, 3, 3), I8)
    options = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
    model = _finish("CONV_2D", options, [x, filters, None], make, 27)
    values = list(edge_inputs(model))
    measured = emulate(compile_model(model, flavour=Flavour.PORTABLE, optimize=None), values, machine)
    for got, given_values in zip(measured.outputs, values, strict=True):
        assert_same(got[0], Executor(model).run(*given_values)[0])
    assert measured.outside_accesses == 0, measured.first_outside


@pytest.mark.parametrize("flavour", FLAVOURS[1:], ids=lambda f: f.value)
def test_special_kernels_are_chosen(flavour: Flavour) -> None:
    programs = (compile_model(model, flavour=flavour, optimize=None) for _, model in itertools.islice(GRID, 40))
    used = {step.call.kernel for program in programs for step in program.steps}
    assert f"conv_2d_s8_{flavour.value}" in used


def test_weights_are_packed_where_they_can_be() -> None:
    def packed(model: Model) -> object:
        (step,) = compile_model(model, flavour=Flavour.DSP, optimize=None).steps
        output = dict(step.call.fields)["output"]
        assert isinstance(output, tuple)
        return dict(output)["packed"]

    make = Maker(3)
    x, filters = make.tensor((1, 4, 5, 6), I8), make.weights((4, 3, 3, 6), I8)
    options = {"padding": Padding.SAME, "stride_h": 1, "stride_w": 1}
    wild = _finish("CONV_2D", options, [x, filters, None], make, 54)
    tame = _finish("CONV_2D", options, [x, tamed(filters, faint=False), None], make, 54)
    assert (packed(wild), packed(tame)) == (0, 1)
