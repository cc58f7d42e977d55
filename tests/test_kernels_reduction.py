# SPDX-License-Identifier: Apache-2.0
"""Compiled pools, reductions, softmax, normalisation and resizing against the NumPy references.

The grids are those on which the references equal TFLM. Many one-operator models are compiled as one, which is quicker.
"""

from __future__ import annotations

import ctypes
import itertools
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, edge_inputs
from test_reference_convolution import pools
from test_reference_elementwise import CASES
from test_reference_movement import U8, fixed, free, one, reducing, resizing
from tflm_models import BOOL, F32, I8, I16, I32, Step, graph, model, single, tensor
from thimble.arena import arena_problem
from thimble.compile import compile_model
from thimble.emit import emit
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.host import WARNINGS, HostBundle, HostProgram, host_compiler, interface_of, write_files
from thimble.ir import Activation, Array, Model, Padding, Quant
from thimble.kernel import Flavour
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled, lowered
from thimble.memory import Solution
from thimble.ops import OPERATORS, fixed_point
from thimble.program import Program
from thimble.streaming import Segment
from thimble.verify_program import verify_program

PORTABLE = Flavour.PORTABLE

SHARED = (*SANITIZED, "-DTHIMBLE_SHARE_KERNELS")
ARGUMENTS = ("CUMSUM", "ARG_MAX", "ARG_MIN")
ROWS = ("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")


def together(models: Iterable[Model]) -> Model:
    """One model of the operators of all, side by side."""
    tensors, steps, inputs, outputs = [], [], [], []
    for single_model in models:
        main, first = single_model.main, len(tensors)
        tensors += main.tensors
        inputs += [first + i for i in main.inputs]
        outputs += [first + i for i in main.outputs]
        for op in main.ops:
            operands = tuple(None if i is None else first + i for i in op.inputs)
            steps.append(Step(op.attrs, operands, tuple(first + i for i in op.outputs)))
    return model(graph(tensors, steps, tuple(inputs), tuple(outputs)))


def check(
    models: Sequence[Model],
    flags: Sequence[str] = SANITIZED,
    inputs: Sequence[tuple[Array, ...]] | None = None,
    flavour: Flavour = PORTABLE,
) -> None:
    """All models, compiled as one, give what the reference gives."""
    whole = together(models)
    kinds = [op.attrs for op in whole.main.ops]
    reference = Executor(whole)
    with HostProgram(compile_model(whole, flavour=flavour, rung=0, optimize=None), flags=flags) as compiled:
        for values in edge_inputs(whole) if inputs is None else inputs:
            pairs = zip(kinds, compiled.run(*values), reference.run(*values), strict=True)
            for attrs, got, wanted in pairs:
                try:
                    assert_same(got, wanted)
                except AssertionError as error:
                    raise AssertionError(f"{attrs} giving {wanted.dtype}{list(wanted.shape)}: {error}") from None


@pytest.mark.parametrize(("flags", "every"), [(SANITIZED, 3), (SHARED, 1)], ids=["specialised", "shared"])
def test_pools(flags: Sequence[str], every: int) -> None:
    check([m for _, m in pools((I8, F32, I16, U8))][::every], flags)


@pytest.mark.parametrize(("flags", "every"), [(SANITIZED, 3), (SHARED, 1)], ids=["specialised", "shared"])
def test_resizing(flags: Sequence[str], every: int) -> None:
    models = [m for _, m in resizing()]
    for number, flag in enumerate((False, True)):
        operands = [free((2, 5 + number, 4, 3), U8), fixed([9, 11])]
        attrs = {"align_corners": flag, "half_pixel_centers": not flag}
        models += [one(f"RESIZE_{kind}", operands, U8, **attrs) for kind in ("BILINEAR", "NEAREST_NEIGHBOR")]
    check(models[::every], flags)


@pytest.mark.parametrize(("flags", "every"), [(SANITIZED, 7), (SHARED, 1)], ids=["specialised", "shared"])
def test_reductions(flags: Sequence[str], every: int) -> None:
    models = [m for kind, m in reducing() if kind not in ARGUMENTS]
    for kind, dtype in itertools.product(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), (I8, F32, U8)):
        for shape, gone in (((2, 3, 4, 2, 3, 2), [0, 2, 4]), ((3, 1, 4), [1]), ((2, 3, 1, 2, 5), [1, -1])):
            models.append(one(kind, [free(shape, dtype), fixed(gone)], dtype))
        models.append(single(OPERATORS[kind](), [free((), dtype), fixed([0])], [free((), dtype)]))
    check(models[::every], flags)


@pytest.mark.parametrize("flags", [SANITIZED, SHARED], ids=["specialised", "shared"])
def test_rows(flags: Sequence[str]) -> None:
    cases = [case for case in CASES if case.name.split("-")[0] in ROWS]
    check([case.model for case in cases][:: 3 if flags is SANITIZED else 1], flags)
    cases = cases[1::3]
    check([case.model for case in cases], flags, [tuple(value for case in cases for value in case.values)])


def test_reductions_of_nothing_are_zeros_or_the_extreme() -> None:
    models = [one("MEAN", [free((0, 3), t), fixed([0])], t) for t in (I8, F32)]
    models += [one("REDUCE_MAX", [free((2, 0), t), fixed([1])], t) for t in (I8, F32)]
    models += [one("SUM", [free((0, 3), I8), fixed([1])], I8), one("REDUCE_ALL", [free((0,), BOOL), fixed([0])], BOOL)]
    check(models)


def test_a_mean_is_exact_by_a_reciprocal() -> None:
    """As the pools' kernels divide 8-bit sums: dividends up to 255.5 times the number of cells."""
    for count in range(1, 257):
        dividend = np.arange(255 * count + count // 2 + 1, dtype=np.uint64)
        product = dividend * np.uint64((1 << 24) // count + 1)
        assert product.max() < 1 << 32
        assert np.array_equal(product >> np.uint64(24), dividend // np.uint64(count))


@st.composite
def drawn_pools(draw: st.DrawFn) -> Model:
    kind = draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"]))
    dtype = F32 if kind.startswith("L2") else draw(st.sampled_from([I8, I16, U8, F32]))
    low, high = (0, 255) if dtype is U8 else (-128, 127)
    zero = 0 if dtype in (I16, F32) else draw(st.sampled_from([low, high, 0]) | st.integers(low, high))
    quant = Quant((float(np.float32(draw(st.floats(0.003, 0.2)))),), (zero,))
    rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 18))
    padding = draw(st.sampled_from(Padding))
    least = (1, 1) if padding is Padding.SAME else (rows, cols)
    window = [draw(st.integers(1, max(n, 4) if padding is Padding.SAME else n)) for n in (rows, cols)]
    assert padding is Padding.SAME or all(w <= n for w, n in zip(window, least, strict=True))
    attrs = OPERATORS[kind](
        padding, *draw(st.tuples(*[st.integers(1, 4)] * 2)), window[1], window[0], draw(st.sampled_from(Activation))
    )
    x = free((draw(st.integers(1, 2)), rows, cols, draw(st.integers(1, 9))), dtype, quant)
    shapes = attrs.output_shapes((x,))
    assert shapes is not None
    return single(attrs, [x], [replace(x, shape=shapes[0])])


@st.composite
def drawn_rows(draw: st.DrawFn) -> Model:
    kind = draw(st.sampled_from(["SOFTMAX"] * 3 + ["LOG_SOFTMAX", "L2_NORMALIZATION"]))
    given, result = draw(st.sampled_from([(I8, I8), (I8, I16), (U8, U8), (I16, I16), (F32, F32)]))
    if kind != "SOFTMAX" and given is not F32:
        given = result = I8
    shape = (*draw(st.lists(st.integers(1, 3), max_size=2)), draw(st.integers(1, 12) | st.integers(1, 600)))
    scale = 10 ** draw(st.floats(-5, 1)) * (2.0**-7 if given is I16 else 1.0)
    zero = draw(st.integers(-128, 127)) if given is I8 else 0
    fixed_scales = {I8: Quant((1 / 256,), (-128,)), U8: Quant((1 / 256,), (0,)), I16: Quant((1 / 65536,), (-32768,))}
    quant = Quant((1 / 32768,), (0,)) if given is I16 else fixed_scales.get(result)
    if kind != "SOFTMAX":
        quant = Quant((1 / 16,), (127,)) if kind == "LOG_SOFTMAX" else Quant((1 / 128,), (0,))
    attrs = {"beta": draw(st.sampled_from([1.0, 0.5, 0.1, 3.0]))} if kind == "SOFTMAX" else {}
    x = free(shape, given, Quant((float(np.float32(scale)),), (zero,)))
    return single(OPERATORS[kind](**attrs), [x], [free(shape, result, quant)])


PATIENT = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@PATIENT
@given(st.lists(drawn_pools(), min_size=6, max_size=10))
def test_any_pools(models: list[Model]) -> None:
    check(models)


def test_bytes_without_a_scale() -> None:
    """Quantized uint8 is compiled as int8, other bytes are not."""
    models = [m for _, m in pools((U8,))][:28:3]
    models += [one(kind, [free((2, 3, 4), U8), fixed([1])], U8) for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")]
    models += [one("RESIZE_BILINEAR", [free((1, 3, 4, 2), U8), fixed([7, 5])], U8)]
    models += [single(OPERATORS["SOFTMAX"](beta=0.1), [free((2, 9), U8)], [free((2, 9), U8)])]
    bare = [replace(m.main, tensors=tuple(replace(t, quant=None) for t in m.main.tensors)) for m in models]
    check([model(main) for main in bare])


def test_packed_pools() -> None:
    models = []
    for number, (channels, kernel) in enumerate(itertools.product((4, 12), (1, 2, 3, 5))):
        activation, padding = tuple(Activation)[number % 4], tuple(Padding)[number // 2 % 2]
        attrs = OPERATORS["MAX_POOL_2D"](padding, 2, 1 + number % 2, kernel, kernel, activation)
        x = free((2, 7, 9, channels), I8, Quant((0.05,), (10,)))
        shapes = attrs.output_shapes((x,))
        assert shapes is not None
        models.append(single(attrs, [x], [replace(x, shape=shapes[0])]))
    check(models, flavour=Flavour.DSP)


@PATIENT
@given(st.lists(drawn_rows(), min_size=5, max_size=8))
def test_any_rows(models: list[Model]) -> None:
    check(models)


FUNCTIONS = """
#include "log_softmax.h"
void many(const int32_t *x, int32_t *out, int32_t count) {
  for (int32_t i = 0; i < count; i++, out += 5) {
    out[0] = thimble_reciprocal((uint32_t)x[i], out + 1);
    out[2] = thimble_inverse_sqrt(x[i], out + 3);
    out[4] = thimble_log_from_one(x[i] < 1 << 19 ? 1 << 19 : x[i]);
  }
}
"""


def test_fixed_point_functions(tmp_path: Path) -> None:
    """Reciprocal, inverse square root and logarithm for numbers of all sizes, and around powers of two."""
    (tmp_path / "f.c").write_text(FUNCTIONS)
    headers = Path(str(resources.files("thimble"))) / "kernels"
    command = [*host_compiler(), "-std=c11", *WARNINGS, *SANITIZED, "-shared", "-fPIC", f"-I{headers}"]
    subprocess.run([*command, str(tmp_path / "f.c"), "-o", str(tmp_path / "f.so")], check=True)
    random = np.random.default_rng(2)
    powers = (1 << np.arange(31))[:, None] + np.arange(-3, 4)
    x = np.concatenate([powers.ravel(), 2 ** random.uniform(0, 31, 50_000), [(1 << 31) - 1]]).astype(np.int64)
    x = x[(x > 0) & (x < 1 << 31)].astype(np.int32)
    found = np.zeros((len(x), 5), np.int32)
    many = ctypes.CDLL(str(tmp_path / "f.so")).many
    many(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(found.ctypes.data), len(x))
    wide = x.astype(np.int64)
    inverse, over = fixed_point.reciprocal(wide, 0)
    assert np.array_equal(found[:, 0], inverse) and np.array_equal(found[:, 1], -over)
    root, shift = fixed_point.inverse_sqrt(wide)
    assert np.array_equal(found[:, 2], root) and np.array_equal(found[:, 3], shift)
    assert np.array_equal(found[:, 4], fixed_point.log_from_one(np.maximum(wide, 1 << 19), 12, 5))


def test_rows_of_images_in_parts(tmp_path: Path) -> None:
    """Kernels of images compute any range of rows: here the last ones, then the first ones."""
    whole = together([m for _, m in (*pools((I8, F32, I16)), *resizing())][::5])
    program = compile_model(whole, flavour=PORTABLE, rung=0, name="net")
    files = emit(program)
    parts = r"  \1{ \2\3 / 3, \3); \2 0, \3 / 3); }"
    call = r"^  (for \(.*\) )?(thimble_\w+\(.*, )0, (\d+)\);$"
    files["net.c"], count = re.subn(call, parts, files["net.c"], flags=re.MULTILINE)
    assert count == len(program.steps)
    write_files(tmp_path, files)
    sources = [tmp_path / "net.c", tmp_path / "net_weights.c"]
    reference = Executor(whole)
    with HostBundle(interface_of(program), sources, flags=SANITIZED) as compiled:
        for values in edge_inputs(whole):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


def onto_themselves(models: Sequence[Model]) -> Program:
    """The operators of all, every output at the very place of its input."""
    whole = together(models).main
    schedule = shipped_schedule(whole)
    units = lowered(whole, [Segment((op.id,)) for op in whole.ops], PORTABLE)
    problem, slots = arena_problem(whole, units)
    assert all(call.in_place == ((0, 0),) for unit in units for (call,) in unit.calls)
    starts: dict[int, int] = {}
    for op in whole.ops:
        starts[op.outputs[0]] = starts[op.inputs[0] or 0] = 4096 * len(starts)
    offsets = tuple(starts[slot.tensors[0]] for slot in slots)
    height = max(o + b.size for o, b in zip(offsets, problem.buffers, strict=True))
    program = assembled("net", whole, schedule, units, slots, Solution(offsets, height, 0, "same places"))
    verify_program(program)
    return program


def test_in_place() -> None:
    models = [case.model for case in CASES if case.name.split("-")[0] in ROWS]
    models = [
        m for m in models if m.main.tensors[0].dtype is m.main.tensors[1].dtype and m.main.tensors[0].nbytes < 4096
    ]
    models += [one("MEAN", [free((2, 1, 5), t), fixed([1])], t) for t in (I8, F32)]
    models += [one(kind, [free((1, 3, 4, 6), I8)], I8) for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D")]
    whole = together(models)
    reference = Executor(whole)
    with HostProgram(onto_themselves(models), flags=SANITIZED) as compiled:
        for values in edge_inputs(whole):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


def test_refusals() -> None:
    whole = tuple(tensor((1, 4, 4, 2), t) for t in (I8, I32))
    wrong = {
        "int8 giving int32": single(OPERATORS["MAX_POOL_2D"](), [whole[0]], [whole[1]]),
        "int32 giving int32": single(OPERATORS["RESIZE_NEAREST_NEIGHBOR"](), [whole[1], fixed([4, 4])], [whole[1]]),
        "65536 cells": one("AVERAGE_POOL_2D", [free((1, 256, 256, 1), I16)], I16, filter_height=256, filter_width=256),
        "must be a constant": single(OPERATORS["MEAN"](), [whole[0], tensor((1,), I32)], [tensor((1, 4, 2), I8)]),
        "separate groups": one("SUM", [free((2,) * 8, F32), fixed([0, 2, 4, 6])], F32),
        "another scale": one("REDUCE_MAX", [free((2, 3), I8), fixed([1])], I8, Quant((0.5,), (1,))),
        "too small": single(
            OPERATORS["SOFTMAX"](beta=1.0), [free((1, 4), I8, Quant((1e-9,), (0,)))], [free((1, 4), I8)]
        ),
        "65536 elements": single(OPERATORS["SOFTMAX"](beta=1.0), [free((1, 65537), I16)], [free((1, 65537), I16)]),
        "uint8 giving uint8": single(OPERATORS["LOG_SOFTMAX"](), [free((1, 4), U8)], [free((1, 4), U8)]),
        "33025 elements": single(OPERATORS["L2_NORMALIZATION"](), [free((1, 33026), I8)], [free((1, 33026), I8)]),
        "no kernels": single(OPERATORS["REDUCE_ANY"](), [free((2, 3), BOOL), fixed([1])], [free((2,), BOOL)]),
    }
    for message, refused in wrong.items():
        with pytest.raises(UnsupportedOperatorError, match=message):
            lowered(refused.main, [Segment((op.id,)) for op in refused.main.ops], PORTABLE)
