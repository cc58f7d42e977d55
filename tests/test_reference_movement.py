# SPDX-License-Identifier: Apache-2.0
"""The NumPy references of the operators that move, resize and reduce, against TFLM: models of one operator each.

All models run on TFLM in one process; as a script, this file is that process: `test_reference_movement.py FOLDER`.
"""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflm_models import BOOL, F32, I8, I16, I32, I64, single
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import parse_tflite
from thimble.ir import Activation, DType, Kind, Model, Quant, Shape, Tensor, TensorId
from thimble.ops import OPERATORS
from thimble.ops.mirror_pad import MirrorPadMode

ARENA = 8 << 20  # bytes
HAS_TFLM = importlib.util.find_spec("tflite_micro") is not None
UNIT = Quant((0.05,), (-3,))
U8 = DType.UINT8
QUANTIZED = (I8, I16, U8)


def array(seed: int, shape: Any, dtype: Any) -> np.ndarray:
    """Seeded values over the whole range of the type; floats of all sizes, with a few equal ones."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (np.round(random.standard_normal(shape), 2) * 10).astype(dtype)
    if np.dtype(dtype).kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -(1 << 15)), min(limits.max, 1 << 15)
    return random.integers(low, high, shape, endpoint=True).astype(dtype)


def quant_for(dtype: DType, quant: Quant | None) -> Quant | None:
    if dtype not in QUANTIZED:
        return None
    return quant or (Quant((0.05,), (0,)) if dtype is I16 else UNIT)


def free(shape: Shape, dtype: DType, quant: Quant | None = None) -> Tensor:
    return Tensor(TensorId(0), "", shape, dtype, quant_for(dtype, quant))


def fixed(values: Any, dtype: DType = I32, quant: Quant | None = None) -> Tensor:
    data = np.array(values, np.dtype(dtype.label))
    return Tensor(TensorId(0), "", data.shape, dtype, quant_for(dtype, quant), Kind.CONSTANT, data.tobytes())


def one(kind: str, inputs: list[Tensor], dtype: DType, quant: Quant | None = None, **attrs: Any) -> Model:
    """A model of one operator, whose outputs are as its shape rule says."""
    op = OPERATORS[kind](**attrs)
    shapes = op.output_shapes(tuple(inputs))
    assert shapes is not None
    return single(op, list(inputs), [free(s, dtype, quant) for s in shapes])


SHAPES = ((6,), (3, 4), (2, 3, 4), (1, 3, 4, 5), (2, 4, 3, 2))


def joining() -> Iterator[tuple[str, Model]]:
    for t, shape in itertools.product((F32, I8, I16, I32), ((4,), (2, 4), (1, 4, 6), (1, 4, 2, 6))):
        x = free(shape, t)
        yield "RESHAPE", one("RESHAPE", [x, fixed([-1, 2])], t)
        if t is not I32:
            yield "EXPAND_DIMS", one("EXPAND_DIMS", [x, fixed([1])], t)
        if shape[0] == 1:
            yield "SQUEEZE", one("SQUEEZE", [x], t, squeeze_dims=(0,))
            yield "SQUEEZE", one("SQUEEZE", [x], t, squeeze_dims=(-len(shape),))
        for axis in range(-1, len(shape)):
            yield "SPLIT", one("SPLIT", [fixed([axis]), x], t, num_splits=2 if shape[axis] > 1 else 1)
            sizes = [shape[axis] - 1, 1] if shape[axis] > 1 else [1]
            yield "SPLIT_V", one("SPLIT_V", [x, fixed(sizes), fixed([axis])], t, num_splits=len(sizes))
            yield "UNPACK", one("UNPACK", [x], t, num=shape[axis], axis=axis)
    for t, shape in itertools.product((F32, I8, I16, I32, I64), SHAPES[:4]):
        for axis in range(-1, len(shape)):
            yield "PACK", one("PACK", [free(shape, t)] * 3, t, values_count=3, axis=axis)
            other = list(shape)
            other[axis] += 2
            yield "CONCATENATION", one("CONCATENATION", [free(shape, t), free(tuple(other), t)], t, axis=axis)
    yield "CONCATENATION", one("CONCATENATION", [free((2, 3), BOOL)] * 2, BOOL, axis=1)


def around() -> Iterator[tuple[str, Model]]:
    for t, shape in itertools.product((F32, I8, I16, I32), SHAPES[1:]):
        x, rank = free(shape, t), len(shape)
        for seed in range(3):
            pads = np.random.default_rng(seed).integers(0, 3, (rank, 2))
            if seed == 0 and rank == 4:
                pads[[0, 3]] = 0
            yield "PAD", one("PAD", [x, fixed(pads)], t)
            yield "PADV2", one("PADV2", [x, fixed(pads), fixed([7], t)], t)
    for t, shape in itertools.product((F32, I8), ((4,), (3, 4), (3, 3, 4), (3, 4, 3, 3))):
        for mode, seed in itertools.product(MirrorPadMode, range(3)):
            pads = np.random.default_rng(seed).integers(0, 3, (len(shape), 2))
            yield "MIRROR_PAD", one("MIRROR_PAD", [free(shape, t), fixed(pads)], t, mode=mode)


def picking() -> Iterator[tuple[str, Model]]:
    for t, seed in itertools.product((F32, I8, I16, I32, BOOL), range(12)):
        random = np.random.default_rng(seed)
        shape = tuple(int(n) for n in random.integers(2, 7, 1 + seed % 4))
        rank = len(shape)
        begin, end = random.integers(-9, 9, rank), random.integers(-9, 9, rank)
        strides = random.choice([-2, -1, 1, 2, 3], rank)
        masks = {m: int(random.integers(0, 1 << rank)) for m in ("begin_mask", "end_mask")}
        model = one("STRIDED_SLICE", [free(shape, t), fixed(begin), fixed(end), fixed(strides)], t, **masks)
        if model.main.tensors[-1].elements:
            yield "STRIDED_SLICE", model
        begin, last = random.integers(0, shape), 1 << (seed % rank)
        ends, ones = begin + 1, np.ones(rank, int)
        operands = [free(shape, t), fixed(np.where(seed % 2, begin, begin - shape)), fixed(ends), fixed(ones)]
        yield "STRIDED_SLICE", one("STRIDED_SLICE", operands, t, shrink_axis_mask=last, end_mask=masks["end_mask"])
        size = [int(random.integers(1, d - b + 1)) if b % 2 else -1 for d, b in zip(shape, begin, strict=True)]
        yield "SLICE", one("SLICE", [free(shape, t), fixed(begin), fixed(size)], t)
    for t in (F32, I8):
        for axis, batch, where in ((0, 0, (3,)), (1, 0, (2, 2)), (-1, 1, (2, 5)), (2, 1, (2, 1)), (2, 2, (2, 4, 3))):
            indices = np.random.default_rng(axis + 5).integers(0, 2, where)
            yield "GATHER", one("GATHER", [free((2, 4, 3), t), fixed(indices)], t, axis=axis, batch_dims=batch)
        for where in ((3, 1), (2, 2, 2), (4, 3), (1,)):
            indices = np.random.default_rng(len(where)).integers(0, 2, where)
            yield "GATHER_ND", one("GATHER_ND", [free((2, 4, 3), t), fixed(indices)], t)
        table = fixed(array(5, (6, 2, 3), t.label), t, Quant((0.03,), (0,)))
        for result in {t, F32}:
            rows = [fixed([3, 0, 5, 5]), table]
            yield "EMBEDDING_LOOKUP", one("EMBEDDING_LOOKUP", rows, result, Quant((0.03,), (0,)))
    for t, begin in itertools.product((F32, I8, I16, I32), ([0, 0, 0], [1, 2, 3], [-4, 1, 9])):
        operands = [free((3, 4, 5), t), free((2, 3, 1), t), fixed(begin)]
        yield "DYNAMIC_UPDATE_SLICE", one("DYNAMIC_UPDATE_SLICE", operands, t)


def turning() -> Iterator[tuple[str, Model]]:
    for t, shape in itertools.product((F32, I8, I16), SHAPES):
        rank = len(shape)
        for order in list(itertools.permutations(range(rank)))[:: max(1, rank - 1)]:
            yield "TRANSPOSE", one("TRANSPOSE", [free(shape, t), fixed(order)], t)
        for conditions, other in ((shape, shape), (shape[-1:], shape), ((1,) * rank, shape[-1:])):
            operands = [free(conditions, BOOL), free(shape, t), free(other, t)]
            yield "SELECT_V2", one("SELECT_V2", operands, t)
    for t, axes in itertools.product((F32, I8, I16, I32, I64, BOOL), ([0], [1, 2], [-1], [0, 1, 2])):
        yield "REVERSE_V2", one("REVERSE_V2", [free((3, 4, 5), t), fixed(axes)], t)


def weaving() -> Iterator[tuple[str, Model]]:
    for t in (F32, I8):
        yield "DEPTH_TO_SPACE", one("DEPTH_TO_SPACE", [free((2, 2, 3, 12), t)], t, block_size=2)
        yield "SPACE_TO_DEPTH", one("SPACE_TO_DEPTH", [free((2, 4, 6, 3), t)], t, block_size=2)
        images = [free((12, 2, 3, 2), t), fixed([2, 3]), fixed([[0, 1], [2, 0]])]
        yield "BATCH_TO_SPACE_ND", one("BATCH_TO_SPACE_ND", images, t)
        yield "BATCH_TO_SPACE_ND", one("BATCH_TO_SPACE_ND", [free((4, 5, 2), t), fixed([2]), fixed([[1, 0]])], t)
        images = [free((2, 4, 6, 2), t), fixed([2, 3]), fixed([[0, 0], [0, 0]])]
        yield "SPACE_TO_BATCH_ND", one("SPACE_TO_BATCH_ND", images, t)
        yield "SPACE_TO_BATCH_ND", one("SPACE_TO_BATCH_ND", [free((2, 4, 2), t), fixed([2]), fixed([[0, 0]])], t)
    for t in (F32, I8, I16, I32, BOOL):
        yield "BROADCAST_TO", one("BROADCAST_TO", [free((3, 1), t), fixed([2, 3, 4])], t)
        yield "SHAPE", one("SHAPE", [free((3, 1, 4), t)], I32)
    for x, y in (((1, 4, 1), (3,)), ((5,), (2, 1)), ((2, 3), (2, 3))):
        yield "BROADCAST_ARGS", one("BROADCAST_ARGS", [fixed(x), fixed(y)], I32)
    for t in (F32, I8, I32, I64):
        yield "ZEROS_LIKE", one("ZEROS_LIKE", [free((3, 4), t)], t)
        if t is not I64:
            yield "FILL", one("FILL", [fixed([2, 3]), free((), t)], t)


def resizing() -> Iterator[tuple[str, Model]]:
    sizes = ((2, 3, 4, 6), (5, 7, 3, 3), (3, 4, 11, 13), (1, 1, 4, 5), (4, 4, 1, 1), (7, 5, 7, 10), (2, 9, 33, 17))
    for t, (h, w, rows, cols), flags in itertools.product((F32, I8, I16), sizes, range(4)):
        attrs = {"align_corners": bool(flags & 1), "half_pixel_centers": bool(flags & 2)}
        operands = [free((2, h, w, 3), t), fixed([rows, cols])]
        yield "RESIZE_NEAREST_NEIGHBOR", one("RESIZE_NEAREST_NEIGHBOR", operands, t, **attrs)
        if t is not I16 and flags < 3:
            yield "RESIZE_BILINEAR", one("RESIZE_BILINEAR", operands, t, **attrs)


def reducing() -> Iterator[tuple[str, Model]]:
    axes = (((6,), [0]), ((3, 4), [1]), ((2, 3, 4), [0, 2]), ((1, 7, 9, 5), [1, 2]), ((2, 16, 16, 3), [2, 1]))
    axes += (((2, 4, 3, 2), [-1]), ((1, 5, 5, 40), [1, 2]), ((2, 2, 3, 3), [0, 1, 2, 3]), ((2, 1, 1, 9), [1, 2]))
    scales = ((0.05, -3, 0.05, -3), (0.0235, -128, 0.0117, -128), (0.5, 127, 0.013, 5), (0.004, 9, 0.9, -7))
    for t, (shape, gone), keep in itertools.product((F32, I8, I16), axes, (False, True)):
        for given, zero, wanted, other in scales if t is not F32 else scales[:1]:
            x = free(shape, t, Quant((given,), (0 if t is I16 else zero,)))
            for kind in ("MEAN", "SUM"):
                result = Quant((wanted,), (0 if t is I16 else other,))
                yield kind, one(kind, [x, fixed(gone)], t, result, keep_dims=keep)
        for kind in ("REDUCE_MAX", "REDUCE_MIN") if t is not I16 else ():
            yield kind, one(kind, [free(shape, t), fixed(gone)], t, keep_dims=keep)
    for shape, gone in axes:
        yield "REDUCE_ALL", one("REDUCE_ALL", [free(shape, BOOL), fixed(gone)], BOOL)
    for (shape, _), axis, kind in itertools.product(axes, (0, -1), ("ARG_MAX", "ARG_MIN")):
        for t in (F32, I8):
            yield kind, one(kind, [free(shape, t), fixed([axis])], I32, output_type=I32)
    for t, axis, flags in itertools.product((F32, I8), (0, 1, -1), range(4)):
        attrs = {"exclusive": bool(flags & 1), "reverse": bool(flags & 2)}
        for given, zero, wanted, other in scales if t is I8 else scales[:1]:
            x = free((2, 7, 40), t, Quant((given,), (zero,)))
            yield "CUMSUM", one("CUMSUM", [x, fixed([axis])], t, Quant((wanted,), (other,)), **attrs)


def averaging() -> Iterator[tuple[str, Model]]:
    """Scales and counts at random: what decides how often the rescaling's multiplier is shifted."""
    random = np.random.default_rng(4)
    for t, _ in itertools.product((I8, I16), range(120)):
        shape = (1, int(random.integers(1, 40)), int(random.integers(1, 40)), 3)
        given, wanted = (float(np.float32(2.0**e)) for e in random.uniform(-12, 1, 2))
        zeros = (0, 0) if t is I16 else tuple(int(z) for z in random.integers(-128, 128, 2))
        operands = [free(shape, t, Quant((given,), zeros[:1])), fixed([1, 2])]
        for kind in ("MEAN", "SUM"):
            yield kind, one(kind, operands, t, Quant((wanted,), zeros[1:]))


GROUPS = ("joining", "around", "picking", "turning", "weaving", "resizing", "reducing", "averaging")


def run_tflm(folder: Path) -> None:
    from tflite_micro.python.tflite_micro import runtime

    stored = {}
    for path in sorted(folder.glob("*.tflite")):
        print(path.stem, file=sys.stderr, flush=True)  # names the model that aborts
        with np.load(path.with_suffix(".npz")) as inputs:
            values = [inputs[key] for key in sorted(inputs.files)]
        try:
            runner = runtime.Interpreter.from_bytes(path.read_bytes(), arena_size=ARENA)
            for place, value in enumerate(values):
                runner.set_input(value, place)
            runner.invoke()
        except (RuntimeError, ValueError) as problem:
            stored[f"{path.stem}/error"] = np.array(str(problem))
            continue
        count = int(path.stem.split("-")[1])
        stored.update({f"{path.stem}/{i:03}": runner.get_output(i) for i in range(count)})
    np.savez(folder / "outputs", **stored)


def inputs_of(model: Model, seed: int) -> list[np.ndarray]:
    tensors = [model.main.tensors[i] for i in model.main.inputs]
    return [array(seed + i, t.shape, t.dtype.label) for i, t in enumerate(tensors)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, Model, list[np.ndarray], Any]]]:
    """Per group: each model with the operator's name, its inputs and TFLM's outputs (or the error)."""
    if not HAS_TFLM:
        pytest.skip("the TFLM wheel is absent: nothing to compare the references with")
    folder = tmp_path_factory.mktemp("movement")
    cases = []
    for group in GROUPS:
        for kind, draft in globals()[group]():
            data = model_to_bytes(draft)
            model = parse_tflite(data, "m.tflite")
            stem = f"{len(cases):05}-{len(model.main.outputs)}-{kind}"
            inputs = inputs_of(model, len(cases))
            (folder / f"{stem}.tflite").write_bytes(data)
            np.savez(folder / f"{stem}.npz", **{f"{i:03}": value for i, value in enumerate(inputs)})
            cases.append((group, stem, model, inputs))
    done = subprocess.run([sys.executable, __file__, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"TFLM ended with {done.returncode}: {done.stderr[-600:]}"
    results: dict[str, list[tuple[str, Model, list[np.ndarray], Any]]] = {group: [] for group in GROUPS}
    with np.load(folder / "outputs.npz") as stored:
        outputs: dict[str, list[np.ndarray]] = {}
        for key in stored.files:
            stem, _, place = key.partition("/")
            outputs.setdefault(stem, []).append(f"{stored[key]}" if place == "error" else stored[key])
    for group, stem, model, inputs in cases:
        results[group].append((stem, model, inputs, outputs[stem]))
    return results


@pytest.mark.wheel
@pytest.mark.parametrize("group", GROUPS)
def test_references_equal_tflm(group: str, found: dict[str, Any]) -> None:
    bad = []
    for stem, model, inputs, wanted in found[group]:
        problem = difference(model, inputs, wanted)
        if problem:
            shapes = [f"{t.dtype.label}{list(t.shape)}" for t in model.main.tensors]
            bad.append(f"{stem} {' '.join(shapes)} {model.main.ops[0].attrs}: {problem}")
    assert not bad, f"{len(bad)} of {len(found[group])} differ:\n" + "\n".join(bad[:40])


def difference(model: Model, inputs: list[np.ndarray], wanted: list[Any]) -> str:
    if isinstance(wanted[0], str):
        return f"TFLM refuses: {wanted[0]}"
    results = Executor(model).run(*inputs)
    for tensor, ours, theirs in zip((model.main.tensors[i] for i in model.main.outputs), results, wanted, strict=True):
        if ours.shape != tensor.shape or ours.dtype != np.dtype(tensor.dtype.label):
            return f"an output is {ours.dtype}{list(ours.shape)}"
        if not np.array_equal(ours, theirs.reshape(ours.shape).astype(ours.dtype)):
            return f"{np.count_nonzero(ours != theirs.reshape(ours.shape))} of {ours.size} elements"
    return ""


def test_refusals() -> None:
    other = Quant((0.07,), (1,))
    models = [
        one("CONCATENATION", [free((2,), I8), free((2,), I8, other)], I8),
        one("CONCATENATION", [free((2,), F32)] * 2, F32, fused_activation_function=Activation.RELU),
        one("PADV2", [free((2,), I8), fixed([[1, 1]]), fixed([1], I8, other)], I8),
        one("REDUCE_MAX", [free((2, 3), I8), fixed([1])], I8, other),
        one("TRANSPOSE", [free((2, 3), I32), fixed([1, 0])], I32),
        one("MEAN", [free((2, 3), I32), fixed([1])], I32),
        one("SHAPE", [free((2, 3), I32)], I64, out_type=I64),
        one("STRIDED_SLICE", [free((5,), F32), fixed([1]), fixed([2]), fixed([1])], F32, offset=True),
    ]
    for model in models:
        with pytest.raises(UnsupportedOperatorError, match=model.main.ops[0].attrs.OP):
            Executor(model).run(*inputs_of(model, 0))


def test_space_to_batch_pads_with_the_zero_point() -> None:
    """TFLM pads with what is in the memory (it never sets the value), so this is LiteRT's rule, worked by hand."""
    for dtype, zero in ((I8, -3), (U8, 7), (F32, 0)):
        quant = Quant((0.05,), (zero,))
        model = one("SPACE_TO_BATCH_ND", [free((1, 3, 1), dtype, quant), fixed([2]), fixed([[1, 0]])], dtype, quant)
        (result,) = Executor(model).run(np.array([1, 2, 3], dtype.label).reshape(1, 3, 1))
        assert result.reshape(2, 2).tolist() == [[zero, 2], [1, 3]]


def test_not_a_number_is_no_extreme() -> None:
    """As a loop with `>` or `<` finds it."""
    nan = float("nan")
    for kind, places in (("ARG_MAX", [2, 0]), ("ARG_MIN", [0, 0])):
        model = one(kind, [free((2, 3), F32), fixed([1])], I32, output_type=I32)
        (result,) = Executor(model).run(np.array([[1, nan, 2], [nan, 5, -5]], np.float32))
        assert result.tolist() == places
    model = one("REDUCE_MAX", [free((2, 3), F32), fixed([1])], F32)
    (result,) = Executor(model).run(np.array([[1, nan, 2], [nan, -5, -6]], np.float32))
    assert result.tolist() == [2, -5]


def test_legacy_bytes_are_rescaled() -> None:
    """Worked by hand: (200 - 128) * 0.5 is 36, in steps of 0.25 from 0 that is 144."""
    operands = [free((2,), U8, Quant((0.5,), (128,))), free((1,), U8, Quant((0.25,), (0,)))]
    model = one("CONCATENATION", operands, U8, Quant((0.25,), (0,)))
    (result,) = Executor(model).run(np.array([200, 3], np.uint8), np.array([9], np.uint8))
    assert result.tolist() == [144, 0, 9]


if __name__ == "__main__":
    run_tflm(Path(sys.argv[1]))
