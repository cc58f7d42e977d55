# SPDX-License-Identifier: Apache-2.0
"""Kernels of elementwise operators against the NumPy references; the models of many operators are compiled as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, check_compiled
from test_reference_elementwise import CASES, KINDS, Case, Grid, draw, scale, ten
from tflm_models import Step, graph, model, single
from thimble.compile import compile_model
from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, Array, DType, Kind, Model, Shape, Tensor
from thimble.kernel import Flavour, KernelCall, Site
from thimble.ops import OPERATORS
from thimble.ops.pointwise import axes

F16, F32, I8, I16, I32, I64 = DType.FLOAT16, DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64
U8, U32, BOOL = DType.UINT8, DType.UINT32, DType.BOOL
ELEMENTWISE = [kind for kind in KINDS if kind not in ("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")]
SHARED = (*SANITIZED, "-DTHIMBLE_SHARE_KERNELS")


def merged(cases: Sequence[Case]) -> tuple[Model, tuple[Array, ...]]:
    """One model that runs all cases side by side, and its inputs."""
    tensors: list[Tensor] = []
    steps: list[Step] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for case in cases:
        first, part = len(tensors), case.model.main
        tensors += part.tensors
        for op in part.ops:
            operands = tuple(None if i is None else i + first for i in op.inputs)
            steps.append(Step(op.attrs, operands, tuple(i + first for i in op.outputs)))
        inputs += [i + first for i in part.inputs]
        outputs += [i + first for i in part.outputs]
    values = tuple(value for case in cases for value in case.values)
    return model(graph(tensors, steps, tuple(inputs), tuple(outputs))), values


def check(cases: Sequence[Case], flags: Sequence[str] = SANITIZED) -> None:
    built, values = merged(cases)
    check_compiled(built, inputs=[values], flags=flags)


def with_constant(case: Case, place: int) -> Case:
    """The case with one operand as a constant of the model."""
    part = case.model.main
    data = np.ascontiguousarray(case.values[place]).tobytes()
    index = part.inputs[place]
    tensors = tuple(replace(t, kind=Kind.CONSTANT, data=data) if t.id == index else t for t in part.tensors)
    inputs = tuple(i for i in part.inputs if i != index)
    values = tuple(v for i, v in enumerate(case.values) if i != place)
    changed = replace(part, tensors=tensors, inputs=inputs)
    return Case(case.name, replace(case.model, graphs=(changed,)), values)


def calls_of(case: Case) -> list[KernelCall]:
    return [step.call for step in compile_model(case.model, flavour=Flavour.PORTABLE).steps]


def cases_of(kind: str) -> list[Case]:
    return [case for case in CASES if case.name.split("-")[0] == kind]


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_kernels_equal_the_reference(kind: str) -> None:
    check(cases_of(kind))


def test_an_operand_may_be_a_constant() -> None:
    """Scalars among them, which make functions of single elements of operators on two."""
    both = [case for case in CASES if len(case.values) == 2 and not case.name.startswith("ADD_N")]
    picked = [with_constant(case, i % 2) for i, case in enumerate(both) if i % 5 == 0 or case.values[1].ndim == 0]
    check([with_constant(case, 1) for case in both if case.values[1].ndim == 0][::3] + picked[::2])


def test_a_type_without_a_kernel_is_refused_by_name() -> None:
    for kind in ("ADD", "EQUAL", "SQRT", "PRELU", "QUANTIZE", "CAST", "LOGISTIC"):
        grid, tensor = Grid(), ten((3,), DType.UINT64)
        grid.add(kind, [tensor] * (2 if kind in ("ADD", "EQUAL", "PRELU") else 1), tensor, [])
        with pytest.raises(UnsupportedOperatorError, match=f"{kind} .*uint64.*supported are .*float32"):
            calls_of(grid.cases[0])


def test_uint8_is_computed_as_int8() -> None:
    """What LiteRT has kernels for; TFLM has none."""
    grid = Grid()
    shape: Shape = (2, 3, 5)
    for kind in ("ADD", "SUB", "MUL", "PRELU"):
        for other in (shape, (5,)):
            rng = grid.random(kind)
            left, right, out = (ten(s, U8, scale(rng), int(rng.integers(0, 256))) for s in (shape, other, shape))
            grid.add(kind, [left, right], out, [draw(rng, left), draw(rng, right)])
    for kind in ("HARD_SWISH", "DEQUANTIZE", "QUANTIZE"):
        rng = grid.random(kind)
        source, out = (ten((256,), U8, scale(rng), int(rng.integers(0, 256))) for _ in range(2))
        if kind == "DEQUANTIZE":
            out = ten((256,), F32)
        grid.add(kind, [source], out, [np.arange(256).astype(np.uint8)])
    check(grid.cases)


def test_conversions_at_their_edges() -> None:
    """Numbers that do not fit, halves, not-a-numbers, subnormals, and an unsigned type."""
    grid = Grid()
    edges = np.array([0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.49999997, 127.5, -128.5, 1e9, -3e9, 7e9, 1e30, -1e30], "f4")
    beyond = np.concatenate([edges, np.array([np.inf, -np.inf, np.nan], np.float32)])
    for target in (I8, I16, I32, U32):
        grid.add("CAST", [ten(beyond.shape, F32)], ten(beyond.shape, target), [beyond])
    for target in (I8, I16, U8):
        out = ten(beyond.shape, target, 1.0, 3)
        grid.add("QUANTIZE", [ten(beyond.shape, F32)], out, [beyond])
    words = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    for target in (F32, I8, I16, I32, U32):
        grid.add("CAST", [ten((4,), U32)], ten((4,), target), [words])
    halves = np.arange(0, 1 << 16, 7).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    grid.add("DEQUANTIZE", [ten(halves.shape, F16)], ten(halves.shape, F32), [halves])
    least = np.array([-(2**31), -(2**31), 7, -7, 2**31 - 1], np.int32)
    for kind in ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"):
        grid.add(kind, [ten((5,), I32)] * 2, ten((5,), I32), [least, least[::-1].copy()])
    check(grid.cases)
    check(grid.cases, SHARED)


def test_simple_functions_have_simple_kernels() -> None:
    grid, x = Grid(), ten((4,), I8, 0.1, -128)
    three = with_constant(Case("", single(OPERATORS["ADD"](), [x, ten((), I8, 0.1, -128)], [x]), _THREE), 1)
    assert [c.kernel for c in calls_of(three)] == ["clamp_s8"]
    for kind, inputs, out, kernel in (
        ("RELU", [x], x, ""),  # all numbers are positive
        ("RELU", [ten((4,), I8, 0.1, 3)], ten((4,), I8, 0.1, 3), "clamp_s8"),
        ("RELU", [x], ten((4,), I8, 0.05, 3), "table_8"),
        ("QUANTIZE", [ten((4,), U8, 0.1, 0)], x, "clamp_u8"),
        ("ADD", [x, x], x, "linear_s8"),
        ("LESS", [x, x], ten((4,), BOOL), "less_s8"),
        ("LESS", [x, ten((4,), I8, 0.2, 0)], ten((4,), BOOL), "less_scaled_s8"),
        ("CAST", [ten((4,), U32)], ten((4,), I32), "copy"),
    ):
        grid.add(kind, inputs, out, [])
        assert [c.kernel for c in calls_of(grid.cases[-1])] == [kernel or "copy"], kind
    twice = model(graph([x, x], [Step(OPERATORS["MUL"](), (0, 0), (1,))], (0,), (1,)))
    assert [c.kernel for c in calls_of(Case("", twice, ()))] == ["table_8"]
    check([Case("", twice, (np.array([-128, -1, 0, 127], np.int8),))])


_THREE = (np.array([-128, -1, 0, 127], np.int8), np.array(3, np.int8))


@st.composite
def broadcast_shapes(draw: st.DrawFn) -> tuple[Shape, Shape]:
    sizes = draw(st.lists(st.integers(1, 3), max_size=5))
    left, right = (tuple(draw(st.sampled_from([1, s])) for s in sizes) for _ in range(2))
    return left, right[draw(st.integers(0, len(sizes))) if all(s == 1 for s in right) else 0 :]


@settings(max_examples=200)
@given(broadcast_shapes())
def test_axes_walk_like_broadcasting(shapes: tuple[Shape, Shape]) -> None:
    """The loops of `pairs.h`, against what NumPy repeats."""
    out = np.broadcast_shapes(*shapes)
    tensors = [ten(shape, F32) for shape in shapes]
    site = Site("", tuple(tensors), (ten(out, F32),))
    sizes, *steps = (np.array(value) for _, value in axes(site, *shapes, out))
    places, found = [0, 0], ([], [])
    for index in np.ndindex(*sizes):
        for side in (0, 1):
            found[side].append(places[side])
            ended = [k for k in range(5) if all(index[j] == sizes[j] - 1 for j in range(k + 1, 5))]
            places[side] += int(sum(steps[side][k] for k in ended))
    for side, shape in enumerate(shapes):
        wanted = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), out).reshape(-1)
        np.testing.assert_array_equal(found[side], wanted)


def test_more_axes_than_loops_are_refused() -> None:
    grid, (left, right) = Grid(), ((2, 1, 2, 1, 2, 1), (1, 2, 1, 2, 1, 2))
    grid.add("ADD", [ten(left, F32), ten(right, F32)], ten((2,) * 6, F32), [])
    with pytest.raises(UnsupportedOperatorError, match="more than 5 axes"):
        calls_of(grid.cases[0])


def test_a_sum_that_no_linear_form_rounds_alike_is_computed_step_by_step() -> None:
    """Scales in simple ratios that are no powers of two: what a tie becomes depends on roundings on the way."""
    grid, shape = Grid(), (256, 256)
    every = np.arange(-128, 128).astype(np.int8)
    left, right = ten((256, 1), I8, 0.05, 3), ten((1, 256), I8, 0.031, -7)
    for kind in ("ADD", "SUB"):
        grid.add(kind, [left, right], ten(shape, I8, 0.066, 11), [every.reshape(256, 1), every.reshape(1, 256)])
        assert [c.kernel for c in calls_of(grid.cases[-1])] == [f"{kind.lower()}_s8"]
    check(grid.cases)


SCALES = st.floats(-9, 3).map(lambda power: float(np.float32(2.0**power)))
ROUND_SCALES = st.integers(-6, 2).map(lambda power: 2.0**power)  # where ties are many
LEVELS = st.integers(-128, 127)


@st.composite
def int8_pairs(draw: st.DrawFn) -> list[Case]:
    """Binary operators on all pairs of int8, of scales that may be related."""
    scales = draw(st.one_of(st.tuples(SCALES, SCALES, SCALES), st.tuples(ROUND_SCALES, ROUND_SCALES, ROUND_SCALES)))
    if draw(st.booleans()):
        scales = (scales[0], scales[0], scales[2])
    zeros = draw(st.tuples(LEVELS, LEVELS, LEVELS))
    activation = draw(st.sampled_from([Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1]))
    grid, every = Grid(), np.arange(-128, 128).astype(np.int8)
    tensors = [ten(s, I8, *q) for s, *q in zip(((256, 1), (1, 256), (256, 256)), scales, zeros, strict=True)]
    values = [every.reshape(256, 1), every.reshape(1, 256)]
    for kind in ("ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "PRELU", "LESS", "EQUAL", "GREATER_EQUAL", "MAXIMUM"):
        fused = {"fused_activation_function": activation} if kind in ("ADD", "SUB", "MUL") else {}
        out = ten((256, 256), BOOL) if kind in ("LESS", "EQUAL", "GREATER_EQUAL") else tensors[2]
        grid.add(kind, tensors[:2], out, values, **fused)
    return grid.cases


@settings(max_examples=12)
@given(int8_pairs())
def test_int8_pairs_equal_the_reference(cases: list[Case]) -> None:
    check(cases)
