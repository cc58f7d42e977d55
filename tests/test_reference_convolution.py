# SPDX-License-Identifier: Apache-2.0
"""References of the operators with weights and windows against TFLM's kernels: a grid of one-operator models."""

from __future__ import annotations

import importlib.util
import itertools
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tflm_models import F32, I4, I8, I16, I32, I64, const, ints, single, tensor
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import parse_tflite
from thimble.ir import Activation, DType, Kind, Model, Padding, Quant, Shape, Tensor, TensorId
from thimble.ops import OPERATORS

RUNS = 3  # one after another on one interpreter: the state of SVDF goes on
TOLERANCE = 1e-5  # of floats, relative to the largest
U8 = DType.UINT8
RUNNER = """
import sys
import numpy as np
def tflm(data):
    from tflite_micro.python.tflite_micro import runtime
    runner = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
    return runner.set_input, runner.invoke, lambda: runner.get_output(0)
def litert(data):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    runner = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    runner.allocate_tensors()
    give = lambda value, place: runner.set_tensor(runner.get_input_details()[place]["index"], value)
    return give, runner.invoke, lambda: runner.get_tensor(runner.get_output_details()[0]["index"])
stored, results = np.load(sys.argv[2]), {}
for name in sorted({key.split("/")[0] for key in stored.files}):
    print(name, file=sys.stderr, flush=True)  # names the model that aborts
    give, invoke, take = {"tflm": tflm, "litert": litert}[sys.argv[1]](stored[name + "/model"].tobytes())
    for run in range(int(stored[name + "/runs"])):
        for place in range(sum(key.startswith(f"{name}/{run}/") for key in stored.files)):
            give(stored[f"{name}/{run}/{place}"], place)
        invoke()
        results[f"{name}/{run}"] = take()
np.savez(sys.argv[3], **results)
"""


class Maker:
    """Seeded tensors with awkward scales and zero points, and values at the ends of their range."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def scale(self, dtype: DType) -> float:
        return float(np.float32(self.random.uniform(0.005, 0.1) / (256 if dtype is I16 else 1)))

    def values(self, shape: Shape, dtype: DType) -> np.ndarray:
        if dtype is F32:
            return self.random.standard_normal(shape).astype(np.float32)
        low, high = (-8, 7) if dtype is I4 else (np.iinfo(dtype.label).min, np.iinfo(dtype.label).max)
        array = self.random.integers(low, high + 1, shape)
        extreme = self.random.random(shape)
        array = np.where(extreme < 0.1, low, np.where(extreme > 0.9, high, array))
        return array.astype(np.int8 if dtype is I4 else dtype.label)

    def tensor(self, shape: Shape, dtype: DType, scale: float | None = None, kind: Kind = Kind.ACTIVATION) -> Tensor:
        zero = int(self.random.choice(ZEROS[dtype])) if dtype in ZEROS else 0
        quant = None if dtype is F32 else Quant((scale or self.scale(dtype),), (zero,))
        return Tensor(TensorId(0), "", shape, dtype, quant, kind)

    def weights(self, shape: Shape, dtype: DType, *, axis: int = 0, scales: int = 1) -> Tensor:
        values = self.values(shape, dtype)
        zero = int(self.random.choice(ZEROS[U8])) if dtype is U8 else 0
        quant = None if dtype is F32 else Quant(tuple(self.scale(dtype) for _ in range(scales)), (zero,) * scales, axis)
        return Tensor(TensorId(0), "", shape, dtype, quant, Kind.CONSTANT, _bytes(values, dtype))

    def bias(self, x: Tensor, weights: Tensor, channels: int, dtype: DType | None) -> Tensor | None:
        if dtype is None:
            return None
        values = self.random.standard_normal(channels) if dtype is F32 else self.random.integers(-9999, 9999, channels)
        values = values * 100 if x.dtype is I16 else values
        quant = None
        if x.quant is not None and weights.quant is not None:
            scales = tuple(float(np.float32(x.quant.scale[0] * s)) for s in weights.quant.scale)
            quant = Quant(scales, (0,) * len(scales))
        data = values.astype(dtype.label).tobytes()
        return Tensor(TensorId(0), "", (channels,), dtype, quant, Kind.CONSTANT, data)

    def output(self, shape: Shape, x: Tensor, weights: Tensor, depth: int) -> Tensor:
        """An output into whose range most results fall, some do not."""
        if x.quant is None or weights.quant is None:
            return self.tensor(shape, x.dtype)
        spread = x.quant.scale[0] * max(weights.quant.scale) * math.sqrt(depth) * 0.75 * (1 << (weights.dtype.bits - 1))
        return self.tensor(shape, x.dtype, float(np.float32(spread * self.random.uniform(0.2, 1.5))))


def _bytes(values: np.ndarray, dtype: DType) -> bytes:
    if dtype is not I4:
        return values.tobytes()
    flat = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)).astype(np.uint8) & 15
    return bytes(flat[0::2] | flat[1::2] << 4)


BIASES = {F32: (F32, None), I8: (I32, None), I16: (I64, I32, None), U8: (I32,)}
ZEROS = {I8: (-128, -3, 0, 17, 127), U8: (0, 3, 128, 150, 255)}
SMALL = ((F32, F32), (I8, I8), (I16, I8), (I8, I4))
WINDOWS = [  # rows, columns, kernel, stride (down, across), dilation
    (1, 1, (1, 1), (1, 1), (1, 1)),
    (5, 7, (3, 3), (1, 1), (1, 1)),
    (6, 8, (3, 2), (2, 1), (1, 1)),
    (8, 6, (2, 3), (2, 3), (1, 1)),
    (9, 10, (3, 3), (1, 1), (2, 3)),
    (7, 7, (4, 1), (3, 2), (2, 1)),
    (4, 4, (1, 1), (3, 3), (1, 1)),
]
ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)


def _window(window: Any, padding: Padding, number: int) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_h": window[3][0],
        "stride_w": window[3][1],
        "dilation_h_factor": window[4][0],
        "dilation_w_factor": window[4][1],
        "fused_activation_function": ACTIVATIONS[number % 4],
    }


def _finish(kind: str, options: dict[str, Any], inputs: list[Tensor | None], make: Maker, depth: int) -> Model:
    """The model of an operator whose output's shape follows from its rule; a bias left out is not written."""
    attrs = OPERATORS[kind](**options)
    while inputs[-1] is None:
        inputs.pop()
    shapes = attrs.output_shapes(tuple(inputs))
    assert shapes is not None
    free, weights = (inputs[2], inputs[1]) if kind == "TRANSPOSE_CONV" else (inputs[0], inputs[1])
    assert free is not None and weights is not None
    return single(attrs, inputs, [make.output(shapes[0], free, weights, depth)])


def convolutions(pairs: Any = SMALL) -> Iterator[tuple[str, Model]]:
    for number, (window, padding, types) in enumerate(itertools.product(WINDOWS, Padding, pairs)):
        make = Maker(number)
        rows, cols, kernel, *_ = window
        bias_type = BIASES[types[0]][number // 3 % len(BIASES[types[0]])]
        groups, depth, count = ((1, 5, 4), (2, 3, 6), (1, 1, 1), (4, 1, 8))[number // 2 % 4]
        scales = 1 if number % 3 == 0 or types[0] is U8 else count
        x = make.tensor((1 + number % 2, rows, cols, depth * groups), types[0])
        filters = make.weights((count, *kernel, depth), types[1], scales=scales)
        options = _window(window, padding, number)
        inputs = [x, filters, make.bias(x, filters, count, bias_type)]
        yield f"conv{number}", _finish("CONV_2D", options, inputs, make, depth * math.prod(kernel))
        bias_type = I64 if bias_type is I32 and types[0] is I16 else bias_type
        bias_type = bias_type or {F32: F32, I16: I64}.get(types[0], I32)
        depth, multiplier = ((1, 4), (5, 1), (3, 2), (1, 1))[number % 4]
        count = depth * multiplier
        x = make.tensor((1 + number % 2, rows, cols, depth), types[0])
        filters = make.weights((1, *kernel, count), types[1], axis=3, scales=1 if types[0] is U8 else count)
        inputs = [x, filters, make.bias(x, filters, count, bias_type)]
        options["depth_multiplier"] = multiplier
        yield f"depthwise{number}", _finish("DEPTHWISE_CONV_2D", options, inputs, make, math.prod(kernel))


def dense(pairs: Any = SMALL) -> Iterator[tuple[str, Model]]:
    shapes = [((1, 16), False), ((3, 7), False), ((2, 3, 10), True), ((2, 2, 6), False)]
    for number, (types, (shape, keep), per_channel) in enumerate(itertools.product(pairs, shapes, (False, True))):
        make = Maker(1000 + number)
        units, depth = 1 + number % 9, shape[-1]
        scales = units if per_channel and types[1] is I8 else 1
        x, weights = make.tensor(shape, types[0]), make.weights((units, depth), types[1], scales=scales)
        bias = make.bias(x, weights, units, BIASES[types[0]][number // 2 % len(BIASES[types[0]])])
        options = {"fused_activation_function": ACTIVATIONS[number % 4], "keep_num_dims": keep}
        yield f"dense{number}", _finish("FULLY_CONNECTED", options, [x, weights, bias], make, depth)


def pools(types: Any = (I8, F32, I16)) -> Iterator[tuple[str, Model]]:
    kinds = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
    for number, (kind, dtype, window, padding) in enumerate(itertools.product(kinds, types, WINDOWS, Padding)):
        if kind == "L2_POOL_2D" and dtype is not F32:
            continue
        make = Maker(2000 + number)
        rows, cols, kernel, stride, _ = window
        x = make.tensor((1 + number % 2, rows, cols, 1 + number % 5), dtype)
        attrs = OPERATORS[kind](padding, stride[1], stride[0], kernel[1], kernel[0], ACTIVATIONS[number % 4])
        shapes = attrs.output_shapes((x,))
        yield f"pool{number}", single(attrs, [x], [replace(x, shape=shapes[0])])


def transposed() -> Iterator[tuple[str, Model]]:
    types = [(I8, I8), (F32, F32), (I16, I8)]
    for number, (window, padding, (dtype, weights)) in enumerate(itertools.product(WINDOWS, Padding, types)):
        make = Maker(3000 + number)
        rows, cols, kernel, stride, _ = window
        count, depth = ((4, 3), (1, 5), (6, 1))[number % 3]
        down, across = ((n + s - 1) // s for n, s in zip((rows, cols), stride, strict=True))
        if padding is Padding.VALID:
            down, across = ((n - k) // s + 1 for n, k, s in zip((rows, cols), kernel, stride, strict=True))
        x = make.tensor((1 + number % 2, down, across, depth), dtype)
        filters = make.weights((count, *kernel, depth), weights, scales=count if number % 2 else 1)
        bias = make.bias(
            x, filters, count, (None, F32 if dtype is F32 else I64 if dtype is I16 else I32)[number // 3 % 2]
        )
        options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
        options["fused_activation_function"] = ACTIVATIONS[number % 4]
        inputs = [ints(x.shape[0], rows, cols, count), filters, x, bias]
        yield f"transposed{number}", _finish("TRANSPOSE_CONV", options, inputs, make, depth * 2)


def products() -> Iterator[tuple[str, Model]]:
    batches: list[tuple[Shape, Shape]] = [((), ()), ((2,), (2,)), ((3,), (1,)), ((1,), (3,)), ((2, 3), (2, 3))]
    batches += [((2, 3), (1, 3)), ((2, 1), (2, 3)), ((2, 3), (2, 1))]
    cases = itertools.product(batches, (I8, F32, I16), (False, True), (False, True), (False, True))
    for number, ((first, second), dtype, adj_x, adj_y, fixed) in enumerate(cases):
        make = Maker(4000 + number)
        left = make.tensor((*first, *((4, 3) if adj_x else (3, 4))), dtype)
        right = make.tensor((*second, *((5, 4) if adj_y else (4, 5))), dtype)
        if fixed:
            right = replace(right, kind=Kind.CONSTANT, data=make.values(right.shape, dtype).tobytes())
        options = {"adj_x": adj_x, "adj_y": adj_y}
        yield f"product{number}", _finish("BATCH_MATMUL", options, [left, right], make, 4)


def memories() -> Iterator[tuple[str, Model]]:
    for number, (kind, rank, steps, batch) in enumerate(itertools.product((I8, I16, F32), (1, 2), (1, 5), (1, 2))):
        make = Maker(5000 + number)
        units, depth, dtype = 4, 6, F32 if kind is F32 else I8
        x, feature = make.tensor((batch, depth), dtype), make.weights((units * rank, depth), dtype)
        time = make.weights((units * rank, steps), kind)
        state = make.tensor(
            (batch, units * rank * steps), kind, float(np.float32(make.random.uniform(0.05, 0.2))), Kind.VARIABLE
        )
        bias = make.bias(state, time, units, F32 if kind is F32 else I32)
        options = {"rank": rank, "fused_activation_function": (Activation.RELU, Activation.TANH)[number % 2]}
        output = make.tensor((batch, units), dtype, float(np.float32(make.random.uniform(0.3, 2))))
        inputs: list[Tensor | None] = [x, feature, time, bias, state]
        yield f"memory{number}", single(OPERATORS["SVDF"](**options), inputs, [output])


def extremes() -> Iterator[tuple[str, Model]]:
    """Multipliers far above and below one, up to those that become zero."""
    for number, (factor, kind) in enumerate(itertools.product((1e-5, 1e-3, 0.03, 50.0, 1e4, 1e12), range(3))):
        make = Maker(6000 + number)
        dtype, units = (I16 if kind == 1 and factor > 0.01 else I8), 5
        x, weights = make.tensor((2, 8), dtype), make.weights((units, 8), I8, scales=units if kind == 2 else 1)
        bias = make.bias(x, weights, units, I64 if dtype is I16 else I32)
        model = _finish("FULLY_CONNECTED", {}, [x, weights, bias], make, 8)
        last = model.main.tensors[-1]
        assert last.quant is not None
        quant = Quant((float(np.float32(last.quant.scale[0] * factor)),), last.quant.zero_point)
        tensors = (*model.main.tensors[:-1], replace(last, quant=quant))
        yield f"extreme{number}", replace(model, graphs=(replace(model.main, tensors=tensors),))


def ties() -> Iterator[tuple[str, Model]]:
    """Sums (all bias) at and around halves of an output step, where the last bit of a multiplier decides."""
    for number, kind in enumerate(("dense", "channels", "conv", "depthwise", "transposed", "memory", "wide") * 3):
        make = Maker(7000 + number)
        dtype = I16 if kind == "wide" else I8
        first, second = make.scale(I8), make.scale(I8)
        factor = 0.99999 if kind == "wide" else float(10 ** make.random.uniform(-6.9, -6.1))
        steps = np.arange(-127, 127) + 0.5
        sums = np.rint(steps / factor)[:, None] + np.arange(-4, 5) if kind != "wide" else np.arange(-32767, 32768, 31)
        units = sums.size
        bias = Quant((float(np.float32(first * second)),), (0,))
        last = Tensor(TensorId(0), "", (units,), I64 if kind == "wide" else I32, bias, Kind.CONSTANT)
        last = replace(last, data=sums.astype(last.dtype.label).tobytes())
        x = replace(make.tensor((1, 1), dtype), quant=Quant((first,), (0,)))
        scales = (second,) * (1 if kind in ("dense", "memory", "wide") else units)
        weights = Tensor(
            TensorId(0), "", (units, 1), I8, Quant(scales, (0,) * len(scales)), Kind.CONSTANT, bytes(units)
        )
        result = Quant((float(np.float32(first * second / factor)),), (0,))
        output = Tensor(TensorId(0), "", (1, units), dtype, result)
        yield f"tie{number}", _tie(kind, x, weights, last, output)


def _tie(kind: str, x: Tensor, weights: Tensor, bias: Tensor, output: Tensor) -> Model:
    if kind == "memory":  # the state has the input's scale, the weights in time those of the others
        state = replace(x, shape=(1, weights.shape[0]), kind=Kind.VARIABLE)
        return single(OPERATORS["SVDF"](rank=1), [x, weights, weights, bias, state], [output])
    if kind in ("dense", "channels", "wide"):
        return single(OPERATORS["FULLY_CONNECTED"](), [x, weights, bias], [output])
    units = weights.shape[0]
    x, output = replace(x, shape=(1, 1, 1, 1)), replace(output, shape=(1, 1, 1, units))
    assert weights.quant is not None
    if kind == "depthwise":
        filters = replace(weights, shape=(1, 1, 1, units), quant=replace(weights.quant, axis=3))
        return single(OPERATORS["DEPTHWISE_CONV_2D"](depth_multiplier=units), [x, filters, bias], [output])
    filters = replace(weights, shape=(units, 1, 1, 1))
    if kind == "conv":
        return single(OPERATORS["CONV_2D"](), [x, filters, bias], [output])
    return single(OPERATORS["TRANSPOSE_CONV"](), [ints(1, 1, 1, units), filters, x, bias], [output])


def legacy() -> Iterator[tuple[str, Model]]:
    """The same in uint8, which only LiteRT has."""
    yield from convolutions([(U8, U8)])
    yield from dense([(U8, U8)])
    yield from pools((U8,))


Outcome = list[tuple[np.ndarray, np.ndarray]]
GROUPS = (convolutions, dense, pools, transposed, products, memories, extremes, ties)


def compare(runtime: str, models: dict[str, Model], folder: Any) -> dict[str, Outcome]:
    """For each model its outputs, by a runtime and by the reference; the runtime does all in one process."""
    stored: dict[str, np.ndarray] = {}
    for number, (name, model) in enumerate(models.items()):
        stored[f"{name}/model"] = np.frombuffer(model_to_bytes(model), np.uint8)
        stored[f"{name}/runs"] = np.array(RUNS)
        make, main = Maker(number), model.main
        for run, (place, index) in itertools.product(range(RUNS), enumerate(main.inputs)):
            stored[f"{name}/{run}/{place}"] = make.values(main.tensors[index].shape, main.tensors[index].dtype)
    np.savez(folder / "in.npz", **stored)
    command = [sys.executable, "-c", RUNNER, runtime, str(folder / "in.npz"), str(folder / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{runtime} failed: {done.stderr[-2000:]}"
    with np.load(folder / "out.npz") as results:
        return {name: _pairs(name, model, stored, results) for name, model in models.items()}


def _pairs(name: str, model: Model, stored: Any, results: Any) -> Outcome:
    executor = Executor(parse_tflite(stored[f"{name}/model"].tobytes(), "m.tflite"))
    given = [[stored[f"{name}/{run}/{place}"] for place in range(len(model.main.inputs))] for run in range(RUNS)]
    return [(results[f"{name}/{run}"], executor.run(*inputs)[0]) for run, inputs in enumerate(given)]


def check(outcomes: dict[str, Outcome]) -> None:
    """Integers are equal, floats nearly; and the outputs are such that this says something."""
    wrong, whole = {}, []
    for name, pairs in outcomes.items():
        for expected, found in pairs:
            assert found.shape == expected.shape and found.dtype == expected.dtype, name
            difference = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max()
            real = expected.dtype == np.float32
            if not difference <= (TOLERANCE * max(1.0, float(np.abs(expected).max())) if real else 0):
                wrong[name] = difference
            if not real:
                limits = np.iinfo(expected.dtype)
                whole.append(((expected > limits.min) & (expected < limits.max)).ravel())
    assert not wrong, f"{len(wrong)} of {len(outcomes)} models differ: {dict(list(wrong.items())[:12])}"
    assert np.concatenate(whole).mean() > 0.3, "most outputs are at the ends of their range"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All groups, in one process."""
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("the wheel tflite-micro, which holds TFLM's kernels, is not installed")
    models = dict(itertools.chain(*(group() for group in GROUPS)))
    return compare("tflm", models, tmp_path_factory.mktemp("tflm"))


@pytest.mark.wheel
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_references_equal_the_kernels(group: Any, compared: dict[str, Outcome]) -> None:
    check({name: compared[name] for name, _ in group()})


@pytest.mark.wheel
def test_uint8_equals_litert(tmp_path: Any) -> None:
    if importlib.util.find_spec("ai_edge_litert") is None:
        pytest.skip("the wheel ai-edge-litert, which holds kernels for uint8, is not installed")
    check(compare("litert", dict(legacy()), tmp_path))


def test_other_types_are_refused() -> None:
    mixed = single(OPERATORS["FULLY_CONNECTED"](), [tensor((1, 4)), const((2, 4), I8)], [tensor((1, 2))])
    with pytest.raises(UnsupportedOperatorError, match="float32 and int8"):
        Executor(mixed).run(np.zeros((1, 4), np.float32))
    pool = single(OPERATORS["L2_POOL_2D"](), [tensor((1, 2, 2, 1), I8)], [tensor((1, 2, 2, 1), I8)])
    with pytest.raises(UnsupportedOperatorError, match="int8"):
        Executor(pool).run(np.zeros((1, 2, 2, 1), np.int8))
    short = Tensor(TensorId(0), "", (2,), I32, Quant((0.25,), (0,)), Kind.CONSTANT, bytes(8))
    inputs: list[Tensor | None] = [tensor((1, 2, 2, 2), I16), const((1, 1, 1, 2), I8), short]
    deep = single(OPERATORS["DEPTHWISE_CONV_2D"](), inputs, [tensor((1, 2, 2, 2), I16)])
    with pytest.raises(UnsupportedOperatorError, match="bias of int32"):
        Executor(deep).run(np.zeros((1, 2, 2, 2), np.int16))
