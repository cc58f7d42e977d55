# SPDX-License-Identifier: Apache-2.0
"""The int8 kernels with weights, in every flavour, on the host: grids of one-operator models, and random ones."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import check_compiled
from test_reference_convolution import Maker, _finish, convolutions, dense
from thimble.compile import compile_model
from thimble.ir import Activation, DType, Model, Padding
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
    return {
        "padding": draw(st.sampled_from(Padding)),
        "stride_h": draw(st.integers(1, 2)),
        "stride_w": draw(st.integers(1, 3)),
        "dilation_h_factor": 1,
        "dilation_w_factor": draw(st.sampled_from([1, 1, 1, 2])),
        "fused_activation_function": draw(st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6])),
    }


@st.composite
def layers(draw: st.DrawFn) -> Model:
    """A convolution or depthwise convolution whose shape may suit a special kernel, or just not."""
    make = Maker(draw(st.integers(0, 9999)))
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 3), (1, 3), (5, 3), (2, 4), (3, 5)]))
    rows, cols = draw(st.integers(6, 9)), draw(st.integers(9, 12))
    depth = draw(st.sampled_from([1, 3, 4, 5, 8, 12]))
    options = draw(windows())
    depthwise = draw(st.booleans())
    x = make.tensor((1, rows, cols, depth), I8)
    if depthwise:
        options["depth_multiplier"] = 1
        count, scales, axis, shape = depth, depth, 3, (1, *kernel, depth)
    else:
        count = draw(st.sampled_from([1, 2, 3, 8]))
        scales, axis, shape = draw(st.sampled_from([1, count])), 0, (count, *kernel, depth)
    filters = make.weights(shape, I8, axis=axis, scales=scales)
    inputs = [
        x,
        filters,
        make.bias(x, filters, count, draw(st.sampled_from([DType.INT32, None])) if not depthwise else DType.INT32),
    ]
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    return _finish(kind, options, inputs, make, kernel[0] * kernel[1] * (1 if depthwise else depth))


@pytest.mark.parametrize("flavour", FLAVOURS[1:], ids=lambda f: f.value)
@given(model=layers())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_random_layers(flavour: Flavour, model: Model) -> None:
    check_compiled(model, flavour=flavour)


@pytest.mark.parametrize("flavour", FLAVOURS[1:], ids=lambda f: f.value)
def test_special_kernels_are_chosen(flavour: Flavour) -> None:
    programs = (compile_model(model, flavour=flavour) for _, model in itertools.islice(GRID, 40))
    used = {step.call.kernel for program in programs for step in program.steps}
    assert f"conv_2d_s8_{flavour.value}" in used
