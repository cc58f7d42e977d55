# SPDX-License-Identifier: Apache-2.0
"""References of the LSTM, of resource variables and of control flow, against TFLM itself.

All models run in one process on TFLM (this file as a script): four inferences, of which a reset precedes the last.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_models as made
from run_tflite import HAS_TFLM
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.ir import Activation, DType, Kind, Model, Quant, Tensor
from thimble.ops import OPERATORS
from thimble.ops.lookup16 import SIGMOID_TABLE, sigmoid16, tanh16
from thimble.ops.numerics import Call

F32, I8, I16, I32, I64, BOOL, RESOURCE = (
    DType.FLOAT32,
    DType.INT8,
    DType.INT16,
    DType.INT32,
    DType.INT64,
    DType.BOOL,
    DType.RESOURCE,
)
RUNS, RESET_BEFORE = 4, 3
TOLERANCE = 1e-5  # of floats; integers are exact
step = made.step


def quantized(base: Tensor, scale: float, zero: int = 0) -> Tensor:
    return replace(base, quant=Quant((float(np.float32(scale)),), (zero,)))


def filled(base: Tensor, values: Any) -> Tensor:
    return replace(base, data=np.asarray(values, base.dtype.label).tobytes())


def lstm(
    dtype: DType,
    shape: tuple[int, int, int],
    units: int,
    seed: int,
    *,
    time_major: bool = False,
    clip: float = 0.0,
    zero: int = 0,
    cell_scale: float = 2.0**-11,
    weight: float = 1 / 128,
    hidden: float = 1 / 128,
) -> Model:
    """One layer with random weights; scales of int8 activations are a hundredth or so, of int16 finer."""
    random = np.random.default_rng(seed)
    fine = 1 if dtype is I8 else 1 / 256
    activation, bias = (0.02 * fine, {F32: F32, I8: I32, I16: I64}[dtype])
    whole = dtype is not F32

    def numbers(size: tuple[int, ...], kind: DType, scale: float, bound: int) -> Tensor:
        base = made.const(size, kind)
        drawn = random.integers(-bound, bound + 1, size)
        return quantized(filled(base, drawn), scale) if whole else filled(base, drawn / 128)

    def state(size: tuple[int, int], kind: DType, scale: float, zero: int) -> Tensor:
        base = made.tensor(size, kind, Kind.VARIABLE)
        return quantized(base, scale, zero) if whole else base

    batch, kind = shape[1] if time_major else shape[0], I8 if whole else F32
    operands: list[Tensor | None] = [quantized(made.tensor(shape, dtype), activation, zero)]
    operands += [numbers((units, shape[2]), kind, weight, 127) for _ in range(4)]
    operands += [numbers((units, units), kind, weight, 127) for _ in range(4)] + [None] * 3
    operands += [numbers((units,), bias, activation * weight, 4000 if whole else 100) for _ in range(4)] + [None] * 2
    hidden *= fine
    operands += [
        state((batch, units), dtype, hidden, zero),
        state((batch, units), I16 if whole else F32, cell_scale, 0),
    ]
    if not whole:
        operands[0] = made.tensor(shape, dtype)
    attrs = OPERATORS["UNIDIRECTIONAL_SEQUENCE_LSTM"](
        fused_activation_function=Activation.TANH, time_major=time_major, cell_clip=clip
    )
    result = made.tensor((*shape[:2], units), dtype)
    return made.single(attrs, operands + [None] * 4, [quantized(result, hidden, zero) if whole else result])


def lstms() -> dict[str, Model]:
    found = {}
    shapes = [((1, 1, 1), 1), ((1, 7, 5), 4), ((3, 4, 8), 6), ((2, 16, 3), 20)]
    for (shape, units), dtype, major in itertools.product(shapes, (I8, I16, F32), (False, True)):
        name = f"lstm {dtype.label} {shape} {units} {'time' if major else 'batch'}"
        found[name] = lstm(dtype, shape, units, len(found), time_major=major, zero=-7 if dtype is I8 else 0)
    shape = (2, 9, 6)
    for dtype, clip in itertools.product((I8, I16, F32), (0.05, 0.9, 40.0)):
        found[f"lstm {dtype.label} clip {clip}"] = lstm(dtype, shape, 5, len(found), clip=clip)
    scales = (2.0**-8, 2.0**-12, 2.0**-13, 2.0**-15, 0.0003, 0.0012345)
    for dtype, scale in itertools.product((I8, I16), scales):
        found[f"lstm {dtype.label} cell {scale}"] = lstm(dtype, shape, 5, len(found), cell_scale=scale)
    for dtype, weight in itertools.product((I8, I16), (0.0001, 0.0371, 0.9, 60.0)):
        found[f"lstm {dtype.label} weight {weight}"] = lstm(dtype, shape, 5, len(found), weight=weight, hidden=0.004)
    # The mantissa's 15 bits depend on whether the scales are multiplied in single or double precision.
    found["lstm int16 rounding"] = lstm(
        I16, (8, 11, 8), 18, 2102, cell_scale=0.0005053893030361698, weight=0.0002576497825742852, hidden=0.001222638656
    )
    for zero in (-128, 127):
        found[f"lstm int8 zero {zero}"] = lstm(I8, shape, 5, len(found), zero=zero)
    return found


def variables() -> dict[str, Model]:
    """Read, then assign; with and without a graph that initializes, of several types."""
    found = {}
    for dtype, zero, once in itertools.product((F32, I8, I16, I32), (0, 5, -128), (False, True)):
        base = made.tensor((3, 2), dtype)
        value = quantized(base, 0.5, zero) if dtype is I8 or (zero == 0 and dtype is not F32) else base
        tensors = [made.tensor((), RESOURCE), value, value, made.tensor((), RESOURCE), value]
        first = [step("CALL_ONCE", (), (), init_subgraph_index=1)] if once else []
        steps = [
            *first,
            step("VAR_HANDLE", (), (0,), shared_name="a"),
            step("READ_VARIABLE", (0,), (2,)),
            step("ASSIGN_VARIABLE", (0, 1), ()),
            step("VAR_HANDLE", (), (3,), shared_name="a"),
            step("READ_VARIABLE", (3,), (4,)),
        ]
        constant = filled(replace(value, kind=Kind.CONSTANT), np.full((3, 2), zero))
        init = [step("VAR_HANDLE", (), (0,), shared_name="a"), step("ASSIGN_VARIABLE", (0, 1), ())]
        other = made.graph([made.tensor((), RESOURCE), constant], init, (), ())
        graphs = (made.graph(tensors, steps, (1,), (2, 4)), other)
        found[f"variable {dtype.label} {zero} {once}"] = made.model(*graphs[: 1 + once])
    return found


def controls() -> dict[str, Model]:
    """IF and WHILE over graphs that hand their operands on, read variables and count."""
    pair = [made.tensor((2, 3)), made.tensor((2, 3))]
    straight = made.graph([*pair, made.tensor((2, 3))], [step("ADD", (0, 1), (2,))], (0, 1), (2, 1))
    crossed = made.graph([*pair, made.tensor((2, 3))], [step("MUL", (0, 1), (2,))], (0, 1), (2, 0))
    if_ = [step("IF", (0, 1, 2), (3, 4), then_subgraph_index=1, else_subgraph_index=2)]
    branch = made.graph([made.tensor((), BOOL), *pair, *pair], if_, (0, 1, 2), (3, 4))
    whole = Tensor(made.tensor(()).id, "", (), I32)
    below = made.graph([whole, *pair[:1], made.ints(3, shape=()), made.tensor((), BOOL)], [step("LESS", (0, 2), (3,))],
                       (0, 1), (3,))  # fmt: skip
    count = made.graph(
        [whole, *pair[:1], made.ints(1, shape=()), whole, *pair[:1]],
        [step("ADD", (0, 2), (3,)), step("MUL", (1, 1), (4,))],
        (0, 1),
        (3, 4),
    )
    while_ = [step("WHILE", (0, 1), (2, 3), cond_subgraph_index=1, body_subgraph_index=2)]
    loop = made.graph([whole, *pair[:1], whole, *pair[:1]], while_, (0, 1), (2, 3))
    return {"if": made.model(branch, straight, crossed), "while": made.model(loop, below, count)}


def inputs(name: str, model: Model) -> list[list[np.ndarray]]:
    """For each inference the inputs; loop counters start near their bound."""
    random, graph = np.random.default_rng(len(name)), model.main

    def drawn(tensor: Tensor, run: int) -> np.ndarray:
        if tensor.dtype is BOOL:
            return np.array(run % 2 == 0)
        if tensor.dtype is F32:
            return random.standard_normal(tensor.shape).astype(np.float32)
        if tensor.dtype is I32 and tensor.shape == ():
            return np.array(run * 2 - 1, np.int32)
        bounds = np.iinfo(tensor.dtype.label)
        return random.integers(bounds.min, bounds.max + 1, tensor.shape).astype(tensor.dtype.label)

    return [[drawn(graph.tensors[i], run) for i in graph.inputs] for run in range(RUNS)]


MODELS = {**lstms(), **variables(), **controls()}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """TFLM's outputs by `model/run/output`, of all models at once."""
    if not HAS_TFLM:
        pytest.skip("the wheel tflite_micro is absent: references are not compared with TFLM")
    folder = tmp_path_factory.mktemp("models")
    for place, (name, model) in enumerate(MODELS.items()):
        (folder / f"{place:03}.tflite").write_bytes(model_to_bytes(model))
        given = {f"{run}/{i}": v for run, row in enumerate(inputs(name, model)) for i, v in enumerate(row)}
        np.savez(folder / f"{place:03}.npz", **given)
    done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "out.npz") as stored:
        return dict(stored)


@pytest.mark.wheel
@pytest.mark.parametrize("name", MODELS)
def test_as_tflm(name: str, recorded: dict[str, np.ndarray]) -> None:
    model, place = MODELS[name], list(MODELS).index(name)
    executor = Executor(model)
    for run, row in enumerate(inputs(name, model)):
        if run == RESET_BEFORE:
            executor.reset()
        results = executor.run(*row)
        if run >= RESET_BEFORE and len(model.graphs) == 2 and name.startswith("variable"):
            continue  # another test tells how the two differ
        for index, value in enumerate(results):
            expected, tensor = recorded[f"{place:03}/{run}/{index}"], model.main.tensors[model.main.outputs[index]]
            assert (value.shape, value.dtype) == (tensor.shape, np.dtype(tensor.dtype.label))
            if tensor.dtype is F32:
                np.testing.assert_allclose(value, expected.reshape(value.shape), TOLERANCE, TOLERANCE)
            else:
                np.testing.assert_array_equal(value, expected.reshape(value.shape), f"{name}, inference {run}")


@pytest.mark.wheel
@pytest.mark.parametrize("name", [n for n in MODELS if n.startswith("variable int16") and n.endswith("True")])
def test_reset_runs_call_once_again(name: str, recorded: dict[str, np.ndarray]) -> None:
    """TFLM's reset sets variables to their zero points and does not run CALL_ONCE again; ours starts anew."""
    executor, rows = Executor(MODELS[name]), inputs(name, MODELS[name])
    first = executor.run(*rows[0])[0]
    executor.run(*rows[1])
    executor.reset()
    np.testing.assert_array_equal(executor.run(*rows[0])[0], first)
    assert set(first.flat) == {int(name.split()[2])}
    place = list(MODELS).index(name)
    assert not recorded[f"{place:03}/{RESET_BEFORE}/0"].any()


def test_the_table_is_the_sigmoid() -> None:
    exact = 65536 / (1 + np.exp(-np.arange(256) / 24))
    assert np.abs(SIGMOID_TABLE - exact).max() < 1.2
    x = np.arange(-(1 << 15), 1 << 15)
    assert np.abs(sigmoid16(x) - np.minimum(32768 / (1 + np.exp(-x / 4096)), 32767)).max() < 12
    assert np.abs(tanh16(x) - np.clip(32768 * np.tanh(x / 4096), -32768, 32767)).max() < 12


def test_the_callers_arrays_are_not_kept() -> None:
    executor = Executor(MODELS["variable int32 0 False"])
    given = np.ones((3, 2), np.int32)
    result = executor.run(given)[1]
    given[:] = 2
    result[:] = 3
    np.testing.assert_array_equal(executor.run(given)[0], np.ones((3, 2)))


def test_call_once_runs_once() -> None:
    calls: list[int] = []

    def run(index: int, operands: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        calls.append(index)
        return ()

    call, attrs = Call((), (), (), {}, run), OPERATORS["CALL_ONCE"](init_subgraph_index=4)
    attrs.reference(call)
    attrs.reference(call)
    assert calls == [4]


def altered(**changes: Any) -> Model:
    """An int8 layer with other attributes."""
    model = lstm(I8, (1, 2, 3), 4, 0)
    op = model.main.ops[0]
    return replace(model, graphs=(replace(model.main, ops=(replace(op, attrs=replace(op.attrs, **changes)),)),))


def test_variants_are_refused() -> None:
    x = np.zeros((1, 2, 3), np.int8)
    with pytest.raises(UnsupportedOperatorError, match="RELU6"):
        Executor(altered(fused_activation_function=Activation.RELU6)).run(x)
    with pytest.raises(UnsupportedOperatorError, match="variants"):
        Executor(altered(diagonal_recurrent_tensors=True)).run(x)
    model = lstm(I8, (1, 2, 3), 4, 0)
    tensors = list(model.main.tensors)
    tensors[1] = filled(made.const((4, 3), DType.UINT8), np.zeros((4, 3)))
    with pytest.raises(UnsupportedOperatorError, match="uint8"):
        Executor(replace(model, graphs=(replace(model.main, tensors=tuple(tensors)),))).run(x)


def main(folder: Path) -> None:
    """Run each model of the folder on TFLM and write what came out."""
    from tflite_micro.python.tflite_micro import runtime

    found = {}
    for path in sorted(folder.glob("*.tflite")):
        print(path.name, file=sys.stderr, flush=True)  # names the model that aborts
        runner = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=1 << 20)
        with np.load(path.with_suffix(".npz")) as given:
            for run in range(RUNS):
                if run == RESET_BEFORE:
                    runner.reset()
                for index in range(sum(key.startswith(f"{run}/") for key in given.files)):
                    runner.set_input(given[f"{run}/{index}"], index)
                runner.invoke()
                index = 0
                while True:
                    try:
                        found[f"{path.stem}/{run}/{index}"] = runner.get_output(index)
                    except (IndexError, RuntimeError):
                        break
                    index += 1
    np.savez(folder / "out.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
