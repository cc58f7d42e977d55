# SPDX-License-Identifier: Apache-2.0
"""The executor: whole models against outputs that TFLM itself gave, and what it refuses.

The recorded outputs are four cases per model, run one after another with a reset between them.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tflm_models as made
from thimble.errors import OptionError, UnsupportedOperatorError
from thimble.execute import Executor, constant, initial
from thimble.importers.tflite import read_tflite
from thimble.ir import Attrs, DType, Kind, Model, Quant, TensorId

MODELS = Path(os.environ.get("THIMBLE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
RECORDED = MODELS.parent / "data" / "tflm_golden"
FEW_MACS = 60_000_000  # of one inference; larger models run their first case only
MAC_BUDGET = 2_000_000_000  # still larger ones are left out
TOLERANCE = 1e-5  # of floats, relative, or of the largest value of the output; integers are exact
CASES = 4


@cache
def model(name: str) -> Model:
    return read_tflite(MODELS / f"{name}.tflite")


def without_reference(found: Model) -> set[str]:
    """Kinds of operators, in any graph, that have no reference."""
    ops = [op for graph in found.graphs for op in graph.ops]
    return {op.kind for op in ops if type(op.attrs).reference is Attrs.reference}


def obstacle(name: str) -> str:
    """Why a model is not compared; empty if it is."""
    if not (MODELS / f"{name}.tflite").is_file():
        return f"{name}: the model is absent"
    found = model(name)
    if missing := without_reference(found):
        return f"{name} IS NOT COMPARED with TFLM: no reference for {', '.join(sorted(missing))}"
    if found.macs() > MAC_BUDGET:
        return f"{name} IS NOT COMPARED with TFLM: {found.macs() / 1e6:.0f} M MACs, above the budget of this test"
    return ""


def names() -> list[str]:
    """Models with recorded outputs, those of few MACs first."""
    stems = sorted(path.stem for path in RECORDED.glob("*.npz"))
    return sorted(stems, key=lambda stem: model(stem).macs() if (MODELS / f"{stem}.tflite").is_file() else 0)


@pytest.mark.models
@pytest.mark.parametrize("name", names() or [None])
def test_as_tflm_recorded(name: str | None) -> None:
    if name is None:
        pytest.skip(f"NO MODEL IS COMPARED with TFLM: {RECORDED} is absent (set THIMBLE_MODELS)")
    if reason := obstacle(name):
        pytest.skip(reason)
    executor, graph = Executor(model(name)), model(name).main
    with np.load(RECORDED / f"{name}.npz") as stored:
        for case in range(CASES if model(name).macs() <= FEW_MACS else 1):
            executor.reset()
            inputs = [stored[f"case{case}_in{k}"] for k in range(len(graph.inputs))]
            found = executor.run(*inputs)
            for k, value in enumerate(found):
                expected, tensor = stored[f"case{case}_out{k}"], graph.tensors[graph.outputs[k]]
                assert (value.shape, value.dtype.name) == (tensor.shape, tensor.dtype.label)
                if value.dtype.kind == "f":
                    largest = max(1.0, float(np.abs(expected).max()))
                    np.testing.assert_allclose(value, expected, TOLERANCE, TOLERANCE * largest, err_msg=f"case {case}")
                else:
                    np.testing.assert_array_equal(value, expected, f"case {case}")


def copying() -> Model:
    """Hands an int16 input to a variable and reads it."""
    tensors = [made.tensor((2,), made.I16), made.tensor((), made.RESOURCE), made.tensor((2,), made.I16)]
    steps = [
        made.step("VAR_HANDLE", (), (1,), shared_name="v"),
        made.step("READ_VARIABLE", (1,), (2,)),
        made.step("ASSIGN_VARIABLE", (1, 0), ()),
    ]
    return made.model(made.graph(tensors, steps, (0,), (2,)))


def test_variables_last_until_reset() -> None:
    executor, given = Executor(copying()), np.array([3, 4], np.int16)
    assert [executor.run(given)[0].tolist() for _ in range(2)] == [[0, 0], [3, 4]]
    executor.reset()
    assert executor.run(given)[0].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "the model has 1 inputs, 0 were given"),
        ((np.zeros(2, np.int8),), r"input 't0' is int16\[2\], not int8\[2\]"),
        ((np.zeros((2, 1), np.int16),), r"input 't0' is int16\[2\], not int16\[2, 1\]"),
    ],
)
def test_inputs_are_checked(inputs: tuple[np.ndarray, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Executor(copying()).run(*inputs)


def test_an_operator_without_reference_is_named() -> None:
    whole = made.custom("MyOperator", [made.tensor((2,))], [made.tensor((2,))])
    with pytest.raises(UnsupportedOperatorError, match=r"MyOperator 'op0'.*: there is no reference for it"):
        Executor(whole).run(np.zeros(2, np.float32))


def test_constants() -> None:
    four = made.tensor((5,), DType.INT4, Kind.CONSTANT)
    object.__setattr__(four, "data", bytes([0x71, 0xF8, 0x0E]))
    assert constant(four).tolist() == [1, 7, -8, -1, -2]
    assert constant(made.ints(5, -6)).tolist() == [5, -6]


def test_variables_begin_at_their_zero_point() -> None:
    def begins(dtype: DType, zero: int) -> set[float]:
        base = made.Tensor(TensorId(0), "", (2, 2), dtype, Quant((1.0,), (zero,)), Kind.VARIABLE)
        return set(initial(base).flat)

    assert (begins(DType.INT8, -5), begins(DType.INT16, -5), begins(DType.FLOAT32, 0)) == ({-5}, {0}, {0.0})
