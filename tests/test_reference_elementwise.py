# SPDX-License-Identifier: Apache-2.0
"""NumPy references of elementwise operators against TFLM: one-operator models, run in one process of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from run_tflite import HAS_TFLM
from tflm_models import single
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.ir import Activation, DType, Kind, Model, Quant, Shape, Tensor, TensorId
from thimble.ops import OPERATORS

F32, I8, I16, I32, I64 = DType.FLOAT32, DType.INT8, DType.INT16, DType.INT32, DType.INT64
U8, BOOL = DType.UINT8, DType.BOOL
ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
REPEATS = 6  # scales drawn per operator, type and activation


@dataclass(frozen=True)
class Case:
    """A model of one operator with its inputs."""

    name: str
    model: Model
    values: tuple[np.ndarray, ...]


def ten(shape: Shape, dtype: DType, scale: float | None = None, zero: int = 0) -> Tensor:
    quant = None if scale is None else Quant((float(np.float32(scale)),), (zero,))
    return Tensor(TensorId(0), "", shape, dtype, quant, Kind.ACTIVATION)


def draw(rng: np.random.Generator, tensor: Tensor, low: float = -8.0, high: float = 8.0) -> np.ndarray:
    """Random elements that include the type's extremes; floats and plain integers lie between the bounds."""
    if tensor.dtype is BOOL:
        return rng.integers(0, 2, tensor.shape).astype(bool)
    if tensor.dtype is F32:
        return rng.uniform(low, high, tensor.shape).astype(np.float32)
    info = np.iinfo(tensor.dtype.label)
    bounds = (info.min, info.max) if tensor.quant is not None else (int(low * 10), int(high * 10))
    values = rng.integers(*bounds, tensor.shape, endpoint=True).astype(info.dtype)
    if tensor.quant is not None and values.size > 2:
        values.reshape(-1)[:2] = bounds
    return values


class Grid:
    """Cases of the operators, drawn from one seed."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(self, kind: str, inputs: list[Tensor], output: Tensor, values: list[np.ndarray], **attrs: object) -> None:
        name = f"{kind}-{'-'.join(t.dtype.label for t in (*inputs, output))}-{len(self.cases)}"
        model = single(OPERATORS[kind](**attrs), list(inputs), [output])
        self.cases.append(Case(name, model, tuple(values)))

    def random(self, kind: str) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{kind}{len(self.cases)}".encode()))


def scale(rng: np.random.Generator, low: float = 0.003, high: float = 0.2) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def quantized(rng: np.random.Generator, shape: Shape, dtype: DType, factor: float = 1.0) -> Tensor:
    zero = 0 if dtype is I16 else int(rng.integers(-127, 127) if dtype is I8 else rng.integers(1, 254))
    return ten(shape, dtype, scale(rng) * factor * (2.0**-7 if dtype is I16 else 1), zero)


SHAPES: tuple[tuple[Shape, Shape], ...] = (
    ((1, 5, 7, 3), (1, 5, 7, 3)),
    ((2, 3, 4, 5), (5,)),
    ((1, 1, 1, 6), (2, 3, 1, 6)),
    ((400,), ()),
)


def out_shape(pair: tuple[Shape, Shape]) -> Shape:
    return tuple(np.broadcast_shapes(*pair))


def binary(grid: Grid, kind: str, dtypes: tuple[DType, ...], *, fused: bool) -> None:
    for dtype in dtypes:
        for repeat in range(REPEATS if dtype in (I8, I16) else 2):
            for activation in ACTIVATIONS if fused else (None,):
                rng, pair = grid.random(kind), SHAPES[(repeat + len(grid.cases)) % len(SHAPES)]
                if dtype in (I8, I16):
                    left, right, out = (quantized(rng, s, dtype) for s in (*pair, out_shape(pair)))
                else:
                    left, right, out = (ten(s, dtype) for s in (*pair, out_shape(pair)))
                if kind == "DIV" and dtype is I8:
                    left = ten(pair[0], I8, right.quant.scale[0] * out.quant.scale[0] * rng.uniform(1, 4), 0)
                values = [draw(rng, left), draw(rng, right)]
                if kind == "DIV" and dtype is I8:  # smaller dividends make TFLM shift by 32 and more: undefined in C
                    values[0] = np.where(np.abs(values[0].astype(int)) < 32, 40, values[0]).astype(np.int8)
                if kind in ("DIV", "FLOOR_DIV", "FLOOR_MOD"):
                    zero = right.quant.zero_point[0] if right.quant else 0
                    values[1] = np.where(values[1] == zero, zero + 1, values[1]).astype(values[1].dtype)
                attrs = {} if activation is None else {"fused_activation_function": activation}
                grid.add(kind, [left, right], out, values, **attrs)


def unary(grid: Grid, kind: str, dtypes: tuple[DType, ...], outs: dict[DType, tuple[float, int]] | None = None) -> None:
    """`outs` are the scale and zero point that the kernel prescribes for its result."""
    for dtype in dtypes:
        for _ in range(REPEATS if dtype is not F32 else 2):
            rng = grid.random(kind)
            shape: Shape = (2, 3, 4, 11)
            if dtype is F32:
                source, out = ten(shape, F32), ten(shape, F32)
            else:
                source = quantized(rng, shape, dtype)
                fixed = (outs or {}).get(dtype)
                out = ten(shape, dtype, *fixed) if fixed else quantized(rng, shape, dtype)
            grid.add(kind, [source], out, [draw(rng, source, 0.01 if kind in POSITIVE else -20.0, 20.0)])


POSITIVE = ("SQRT", "RSQRT", "LOG")


def requantize(grid: Grid) -> None:
    pairs = [(F32, I8), (F32, I16), (I8, I8), (I8, U8), (U8, I8), (I8, I16), (I8, I32), (I16, I8), (I16, I16)]
    for source, target in [*pairs, (I16, I32), (I32, I8), (I32, I16)]:
        for repeat in range(REPEATS):
            rng = grid.random("QUANTIZE")
            tensors = []
            for dtype in (source, target):
                if dtype is I32:
                    tensors.append(ten((300,), I32, scale(rng) * 2.0**-12, 0))
                else:
                    tensors.append(ten((300,), F32) if dtype is F32 else quantized(rng, (300,), dtype))
            values = draw(rng, tensors[0], -12, 12)
            if source is I32:
                values = (values >> 8).astype(np.int32)  # the kernel's shift to the left overflows beyond
            if source is F32 and repeat % 2:  # ties
                step = tensors[1].quant.scale[0]
                values = ((np.arange(300) - 150 + 0.5).astype(np.float32) * np.float32(step)).astype(np.float32)
            grid.add("QUANTIZE", [tensors[0]], tensors[1], [values])


def dequantize(grid: Grid) -> None:
    for dtype in (I8, I16, U8):
        for _ in range(REPEATS):
            rng = grid.random("DEQUANTIZE")
            source = quantized(rng, (3, 100), dtype)
            grid.add("DEQUANTIZE", [source], ten((3, 100), F32), [draw(rng, source)])


def softmax(grid: Grid) -> None:
    results = {(I8, I8): (1 / 256, -128), (I8, I16): (1 / 65536, -32768), (I16, I16): (1 / 32768, 0)}
    for (source, target), fixed in results.items():
        for shape in ((1, 1), (1, 2), (4, 10), (2, 3, 257), (1, 1001)):
            for beta in (1.0, 0.5):
                rng = grid.random("SOFTMAX")
                tensor = quantized(rng, shape, source, 4.0)
                grid.add("SOFTMAX", [tensor], ten(shape, target, *fixed), [draw(rng, tensor)], beta=beta)
                if shape[-1] > 500:
                    continue  # TFLM aborts on rows whose exponentials add up to 512 or more
                narrow = np.array([-3, -2, -1, 0, 1], tensor.dtype.label)
                values = narrow[rng.integers(0, 5, shape)]
                grid.add("SOFTMAX", [tensor], ten(shape, target, *fixed), [values], beta=beta)
    for shape in ((1, 2), (4, 10), (1, 1001)):
        rng = grid.random("SOFTMAX")
        grid.add("SOFTMAX", [ten(shape, F32)], ten(shape, F32), [draw(rng, ten(shape, F32))], beta=1.0)
        for kind in ("LOG_SOFTMAX", "L2_NORMALIZATION"):
            grid.add(kind, [ten(shape, F32)], ten(shape, F32), [draw(rng, ten(shape, F32))])
            for _ in range(REPEATS):
                tensor = quantized(rng, shape, I8)
                fixed = (1 / 16, 127) if kind == "LOG_SOFTMAX" else (1 / 128, 0)
                grid.add(kind, [tensor], ten(shape, I8, *fixed), [draw(rng, tensor)])


def sigmoids(grid: Grid) -> None:
    for kind, fixed in (("LOGISTIC", (1 / 256, -128)), ("TANH", (1 / 128, 0))):
        unary(grid, kind, (F32,))
        for step in (0.002, 0.01, 1 / 16, 0.1, 0.4, 1.0):
            for zero in (-128, 0, 17):
                source = ten((256,), I8, step, zero)
                grid.add(kind, [source], ten((256,), I8, *fixed), [np.arange(-128, 128).astype(np.int8)])
        for step in (2.0**-12, 2.0**-11, 2.0**-13, 2.0**-10, 0.0003, 0.001, 0.00001):
            source = ten((16384,), I16, step)
            values = np.arange(-32768, 32768, 4) + np.arange(16384) % 4
            grid.add(kind, [source], ten((16384,), I16, 2.0**-15), [values.astype(np.int16)])


def activations(grid: Grid) -> None:
    unary(grid, "RELU", (F32, I8, I16))
    unary(grid, "RELU6", (F32, I8, I16))
    unary(grid, "ELU", (F32, I8))
    unary(grid, "ABS", (F32, I8, I16))
    unary(grid, "HARD_SWISH", (F32,))
    whole = np.arange(-128, 128).astype(np.int8)
    for _ in range(30):
        rng = grid.random("HARD_SWISH")
        source = ten((256,), I8, scale(rng, 0.01, 0.5), int(rng.integers(-128, 128)))
        out = ten((256,), I8, source.quant.scale[0] * float(rng.uniform(0.3, 1.5)), int(rng.integers(-128, 128)))
        grid.add("HARD_SWISH", [source], out, [whole])
        zero = int(rng.integers(-128, 0))
        source, out = ten((128,), I8, scale(rng), -1), ten((128,), I8, scale(rng, 0.01, 1.0), zero)
        grid.add("RSQRT", [source], out, [np.arange(-1, 127).astype(np.int8)])
    for alpha in (0.0, 0.1, 0.3, 1.5):
        for dtype in (F32, I8, I16):
            rng = grid.random("LEAKY_RELU")
            shape = (3, 100)
            source, out = (ten(shape, F32) if dtype is F32 else quantized(rng, shape, dtype) for _ in range(2))
            grid.add("LEAKY_RELU", [source], out, [draw(rng, source)], alpha=alpha)


def prelu(grid: Grid) -> None:
    for dtype, slope in ((F32, F32), (I8, I8), (I16, I8)):
        for pair in SHAPES[:2] * 3:
            rng = grid.random("PRELU")
            tensors = [
                ten(s, d) if d is F32 else quantized(rng, s, d)
                for s, d in ((pair[0], dtype), (pair[1], slope), (pair[0], dtype))
            ]
            grid.add("PRELU", tensors[:2], tensors[2], [draw(rng, t) for t in tensors[:2]])


def comparisons(grid: Grid) -> None:
    for kind in ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"):
        for dtype in (F32, I32, I64, I8, *((BOOL,) if kind in ("EQUAL", "NOT_EQUAL") else ())):
            for pair in SHAPES:
                rng = grid.random(kind)
                inputs = [quantized(rng, s, I8) if dtype is I8 else ten(s, dtype) for s in pair]
                values = [draw(rng, t) for t in inputs]
                if dtype is F32:
                    values = [np.rint(v) for v in values]
                grid.add(kind, inputs, ten(out_shape(pair), BOOL), values)
    for kind in ("LOGICAL_AND", "LOGICAL_OR"):
        binary(grid, kind, (BOOL,), fused=False)
    rng = grid.random("LOGICAL_NOT")
    grid.add("LOGICAL_NOT", [ten((9,), BOOL)], ten((9,), BOOL), [draw(rng, ten((9,), BOOL))])


def others(grid: Grid) -> None:
    for kind in ("SQRT", "RSQRT", "SQUARE", "EXP", "LOG", "SIN", "COS", "FLOOR", "CEIL", "ROUND", "NEG"):
        unary(grid, kind, (F32,))
    halves = np.arange(-10, 10).astype(np.float32) / 2
    for kind in ("FLOOR", "CEIL", "ROUND"):
        grid.add(kind, [ten((20,), F32)], ten((20,), F32), [halves])
    for source in (F32, I8, I16, I32, BOOL):
        for target in (F32, I8, I16, I32):
            rng = grid.random("CAST")
            grid.add("CAST", [ten((50,), source)], ten((50,), target), [draw(rng, ten((50,), source))])
    for number in (2, 3, 5):
        rng = grid.random("ADD_N")
        grid.add("ADD_N", [ten((4, 9), F32)] * number, ten((4, 9), F32), [draw(rng, ten((4, 9), F32))] * number)
        source, out = quantized(rng, (4, 9), I8), quantized(rng, (4, 9), I8)
        grid.add("ADD_N", [source] * number, out, [draw(rng, source) for _ in range(number)])


def build() -> list[Case]:
    grid = Grid()
    for kind in ("ADD", "MUL", "SUB"):
        binary(grid, kind, (I8, I16, F32, I32), fused=True)
    binary(grid, "DIV", (I8, F32, I32), fused=True)
    binary(grid, "SQUARED_DIFFERENCE", (I8, I16, F32, I32), fused=False)
    for kind in ("MAXIMUM", "MINIMUM"):
        binary(grid, kind, (I8, I16, F32, I32, I64), fused=False)
    for kind in ("FLOOR_DIV", "FLOOR_MOD"):
        binary(grid, kind, (F32,), fused=False)
    for part in (requantize, dequantize, softmax, sigmoids, activations, prelu, comparisons, others):
        part(grid)
    return grid.cases


CASES = build()
KINDS = sorted({case.name.split("-")[0] for case in CASES})


def run_all(source: str, target: str) -> None:
    """Run pickled (name, model, inputs) on the wheel and pickle the outputs, or the message of what went wrong."""
    from tflite_micro.python.tflite_micro import runtime

    found: dict[str, object] = {}
    for name, data, values in pickle.loads(Path(source).read_bytes()):
        print(name, file=sys.stderr, flush=True)  # names the model that aborts
        try:
            runner = runtime.Interpreter.from_bytes(data, arena_size=1 << 20)
            for place, value in enumerate(values):
                runner.set_input(value, place)
            runner.invoke()
            found[name] = runner.get_output(0)
        except (RuntimeError, ValueError) as error:
            found[name] = str(error)
    Path(target).write_bytes(pickle.dumps(found))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    if not HAS_TFLM:
        pytest.skip("the package tflite_micro is not installed: nothing to hold the references against")
    folder = tmp_path_factory.mktemp("elementwise")
    source, target = folder / "models", folder / "outputs"
    source.write_bytes(pickle.dumps([(c.name, model_to_bytes(c.model), c.values) for c in CASES]))
    command = [sys.executable, __file__, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"TFLM failed: {done.stderr[-500:]}"
    return pickle.loads(target.read_bytes())


@pytest.mark.wheel
@pytest.mark.parametrize("kind", KINDS)
def test_reference_equals_tflm(kind: str, wheel: dict[str, object]) -> None:
    for case in (c for c in CASES if c.name.split("-")[0] == kind):
        wanted = wheel[case.name]
        assert isinstance(wanted, np.ndarray), f"{case.name}: {wanted}"
        (found,) = Executor(case.model).run(*case.values)
        output = case.model.main.tensors[case.model.main.outputs[0]]
        assert found.shape == output.shape and found.dtype == np.dtype(output.dtype.label), case.name
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=case.name)
        else:
            np.testing.assert_array_equal(found, wanted.reshape(found.shape), err_msg=case.name)


@pytest.mark.parametrize("kind", ["ADD", "SOFTMAX", "QUANTIZE", "EQUAL", "SQRT", "LOGICAL_AND"])
def test_a_type_without_a_reference_is_refused_by_name(kind: str) -> None:
    tensor = ten((3,), DType.UINT64)
    inputs: list[Tensor | None] = [tensor] * (2 if kind in ("ADD", "EQUAL", "LOGICAL_AND") else 1)
    with pytest.raises(UnsupportedOperatorError, match=f"{kind}.*uint64"):
        Executor(single(OPERATORS[kind](), inputs, [tensor])).run(*[np.zeros(3, np.uint64)] * len(inputs))


if __name__ == "__main__":
    run_all(*sys.argv[1:])
