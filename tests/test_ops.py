# SPDX-License-Identifier: Apache-2.0
"""Shape rules and MACs: against the files of real models, against NumPy, and case by case."""

from __future__ import annotations

import collections
import dataclasses
import importlib
import math
import os
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.errors import ShapeError
from thimble.importers.options import accessor, read_attrs
from thimble.importers.tflite import read_tflite
from thimble.ir import OURS, Attrs, Custom, DType, Kind, Opaque, Padding, Shape, Tensor, TensorId
from thimble.ops import OPERATORS
from thimble.ops.mirror_pad import MirrorPadMode
from thimble.ops.shapes import MOST_OUTPUTS, broadcast, window

FOLDER = Path(os.environ.get("THIMBLE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
MODELS = sorted(FOLDER.glob("*.tflite"))
ABSENT = pytest.mark.skip(reason=f"no .tflite in {FOLDER}; set THIMBLE_MODELS to a folder of models")
EACH_MODEL = pytest.mark.parametrize(
    "path", [pytest.param(p, id=p.stem) for p in MODELS] or [pytest.param(Path(), marks=ABSENT)]
)
AT_RUN_TIME = {"FILL": 0, "IF": 0, "READ_VARIABLE": None, "RESHAPE": 1, "VAR_HANDLE": None, "WHILE": 0}
"""Operators whose rule answers None, and the operand that is then not constant."""


def tensor(*shape: int, dtype: DType = DType.FLOAT32) -> Tensor:
    return Tensor(TensorId(0), "x", shape, dtype)


def const(values: Any, dtype: DType = DType.INT32) -> Tensor:
    array = np.asarray(values, dtype.label)
    return Tensor(TensorId(0), "c", array.shape, dtype, kind=Kind.CONSTANT, data=array.tobytes())


def shapes(op: str, *inputs: Tensor | None, **attrs: Any) -> tuple[Shape, ...] | None:
    return OPERATORS[op](**attrs).output_shapes(inputs)


def shape(op: str, *inputs: Tensor | None, **attrs: Any) -> Shape:
    found = shapes(op, *inputs, **attrs)
    assert found is not None and len(found) == 1
    return found[0]


# --- Real models


def file_shapes(path: Path, graph: int) -> list[Shape]:
    """The shapes as the file has them, past our own importer."""
    import tflite

    table = tflite.Model.GetRootAs(path.read_bytes(), 0).Subgraphs(graph)
    found = (table.Tensors(i) for i in range(table.TensorsLength()))
    return [tuple(t.ShapeAsNumpy().tolist()) if t.ShapeLength() else () for t in found]


@EACH_MODEL
def test_rules_reproduce_the_shapes_of_the_file(path: Path) -> None:
    for index, graph in enumerate(read_tflite(path).graphs):
        written = file_shapes(path, index)
        for op in graph.ops:
            operands = graph.operands(op)
            found = op.attrs.output_shapes(operands)
            if isinstance(op.attrs, Custom):
                continue
            assert not isinstance(op.attrs, Opaque), f"{op.label} has no file in ops/"
            if found is None:
                given = AT_RUN_TIME[op.kind]
                operand = None if given is None else operands[given]
                assert operand is None or operand.data is None, op.label
                continue
            assert found == tuple(t.shape for t in graph.results(op)), op.label
            fixed = [i for i in op.outputs if graph.tensors[i].signature is None]
            assert [graph.tensors[i].shape for i in fixed] == [written[i] for i in fixed], op.label


@EACH_MODEL
def test_macs_are_counted_in_the_operators_that_multiply_and_add(path: Path) -> None:
    graph = read_tflite(path).main
    counted: collections.Counter[str] = collections.Counter()
    for op in graph.ops:
        counted[op.kind] += op.attrs.macs(graph.operands(op), graph.results(op))
    assert {kind for kind, macs in counted.items() if macs} <= {
        "BATCH_MATMUL",
        "CONV_2D",
        "Convolution2DTransposeBias",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "SVDF",
        "TRANSPOSE_CONV",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
    }
    # Published for the MLPerf Tiny models: an independent compiler's report for the same files.
    known = {"ad01_int8": 264_192, "kws_ref_model_int8": 2_656_768, "pretrainedResnet_quant": 12_501_632}
    assert sum(counted.values()) == known.get(path.stem, sum(counted.values()))


# --- The schema


def options_table(name: str) -> Any:
    """An options table with no field set, so that every accessor answers with the schema's default."""
    module = importlib.import_module(f"tflite.{name}")
    builder = flatbuffers.Builder(0)
    module.Start(builder)
    builder.Finish(module.End(builder))
    return getattr(module, name).GetRootAs(bytes(builder.Output()), 0)


@pytest.mark.parametrize("cls", OPERATORS.values(), ids=OPERATORS)
def test_fields_are_those_of_the_schema(cls: type[Attrs]) -> None:
    import tflite

    assert isinstance(getattr(tflite.BuiltinOperator, cls.OP), int)
    fields = {accessor(f.name) for f in dataclasses.fields(cls) if f.metadata != OURS}
    if not cls.OPTIONS:
        assert not fields
        return
    assert isinstance(getattr(tflite.BuiltinOptions, cls.OPTIONS), int)
    table = type(options_table(cls.OPTIONS))
    own = {n for n in vars(table) if n[0].isupper() and not n.startswith("GetRootAs") and "Identifier" not in n}
    helpers = {name + suffix for name in own for suffix in ("AsNumpy", "Length", "IsNone")}
    assert own - helpers - {"Init"} == fields


@pytest.mark.parametrize("cls", OPERATORS.values(), ids=OPERATORS)
def test_defaults_are_those_of_the_schema(cls: type[Attrs]) -> None:
    # The schema's 0 is not allowed for strides and windows, and FLOAT32 not for indices.
    ours = {"stride_w", "stride_h", "filter_width", "filter_height", "out_type", "output_type"}
    table = options_table(cls.OPTIONS)._tab if cls.OPTIONS else None
    read, default = read_attrs(cls, table), read_attrs(cls, None)
    for field in dataclasses.fields(cls):
        if field.name not in ours:
            assert getattr(read, field.name) == getattr(default, field.name), field.name


# --- Any operands whatever


OPERANDS = st.lists(
    st.one_of(
        st.none(),
        st.lists(st.integers(0, 4), max_size=5).map(lambda s: tensor(*s)),
        st.integers(-5, 5).map(const),
        st.lists(st.integers(-5, 5), max_size=5).map(const),
    ),
    max_size=9,
)


@given(st.data(), st.sampled_from(sorted(OPERATORS)), OPERANDS)
@settings(max_examples=2000, deadline=None)
def test_rules_answer_or_raise_shape_error(data: st.DataObject, op: str, inputs: list[Tensor | None]) -> None:
    drawn = {int: st.integers(-3, 5), bool: st.booleans(), Padding: st.sampled_from(Padding)}
    attrs = {
        f.name: data.draw(drawn[type(f.default)]) for f in dataclasses.fields(OPERATORS[op]) if type(f.default) in drawn
    }
    try:
        found = shapes(op, *inputs, **attrs)
    except ShapeError as error:
        assert str(error)
        return
    assert found is None or all(isinstance(d, int) and d >= 0 for s in found for d in s)
    if found:
        OPERATORS[op](**attrs).macs(tuple(inputs), tuple(tensor(*s) for s in found))


# --- Against NumPy

SMALL = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def indices(draw: st.DrawFn) -> tuple[Shape, list[Any]]:
    """A shape, and a NumPy index that fits it."""
    extents = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    bound = st.none() | st.integers(-7, 7)
    step = st.integers(-3, 3).filter(bool)
    index: list[Any] = []
    for extent in extents[: draw(st.integers(0, len(extents)))]:
        cuts = st.builds(slice, bound, bound, step)
        index.append(draw(st.integers(-extent, extent - 1) | cuts if extent else cuts))
    for _ in range(draw(st.integers(0, 2))):
        index.insert(draw(st.integers(0, len(index))), None)
    if draw(st.booleans()):
        # Extents behind an ellipsis are another entry's: only open bounds surely fit there.
        at = draw(st.integers(0, len(index)))
        index[at:] = [Ellipsis, *(e if e is None else slice(None, None, -1) for e in index[at:])]
    return tuple(extents), index


@given(indices(), st.integers(-9, 9))
def test_strided_slice_is_numpy_indexing(case: tuple[Shape, list[Any]], ignored: int) -> None:
    extents, index = case
    spec = np.full((3, len(index)), ignored)
    spec[2] = 1
    masks = collections.Counter[str]()
    for i, entry in enumerate(index):
        if entry is None or entry is Ellipsis:
            masks["new_axis_mask" if entry is None else "ellipsis_mask"] |= 1 << i
        elif isinstance(entry, slice):
            spec[2, i] = entry.step
            for row, bound, mask in ((0, entry.start, "begin_mask"), (1, entry.stop, "end_mask")):
                spec[row, i] = ignored if bound is None else bound
                masks[mask] |= (bound is None) << i
        else:
            spec[0, i] = entry
            masks["shrink_axis_mask"] |= 1 << i
    expected = np.empty(extents)[tuple(index)].shape
    assert shape("STRIDED_SLICE", tensor(*extents), *map(const, spec), **masks) == expected


@given(SMALL, SMALL)
def test_broadcast_is_numpys(left: Shape, right: Shape) -> None:
    try:
        expected = np.broadcast_shapes(left, right)
    except ValueError:
        with pytest.raises(ShapeError, match="cannot be broadcast together"):
            broadcast(left, right)
    else:
        assert broadcast(left, right) == expected
        assert shape("MUL", tensor(*left), tensor(*right)) == expected
        assert shape("SELECT_V2", tensor(), tensor(*left), tensor(*right)) == expected
        fits = expected == right
        assert not fits or shape("BROADCAST_TO", tensor(*left), const(right)) == right


@given(st.data(), SMALL)
def test_rearrangements_are_numpys(data: st.DataObject, extents: Shape) -> None:
    x, rank = np.empty(extents), len(extents)
    t = tensor(*extents)
    axis = data.draw(st.integers(-rank, rank - 1))
    inserted = data.draw(st.integers(-rank - 1, rank))
    order = data.draw(st.permutations(range(rank)))
    pads = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=rank, max_size=rank))
    times = data.draw(st.lists(st.integers(0, 3), min_size=rank, max_size=rank))
    which = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    assert shape("TRANSPOSE", t, const(order)) == np.transpose(x, order).shape
    assert shape("TRANSPOSE", t, const([a - rank for a in order])) == np.transpose(x, order).shape
    assert shape("PAD", t, const(pads)) == shape("PADV2", t, const(pads), tensor()) == np.pad(x, pads).shape
    assert shape("TILE", t, const(times)) == np.tile(x, times).shape
    assert shape("EXPAND_DIMS", t, const(inserted)) == np.expand_dims(x, inserted).shape
    assert shape("PACK", t, t, t, values_count=3, axis=inserted) == np.stack([x, x, x], inserted).shape
    assert shape("CONCATENATION", t, t, axis=axis) == np.concatenate([x, x], axis).shape
    assert shape("GATHER", t, tensor(*which), axis=axis) == np.take(x, np.zeros(which, int), axis).shape
    assert shape("ARG_MAX", t, const(axis)) == shape("ARG_MIN", t, const([axis])) == np.argmax(x, axis).shape
    assert shape("SQUEEZE", t) == np.squeeze(x).shape
    parts = x.shape[axis]
    assert shapes("UNPACK", t, num=parts, axis=axis) == (np.take(x, 0, axis).shape,) * parts
    assert shapes("SPLIT", const(axis), t, num_splits=parts) == tuple(p.shape for p in np.split(x, parts, axis))
    assert shapes("SPLIT_V", t, const([1, -1]), const(axis), num_splits=2) == tuple(
        p.shape for p in np.split(x, [1], axis)
    )


@given(st.data(), SMALL, st.booleans())
def test_reductions_are_numpys(data: st.DataObject, extents: Shape, keep: bool) -> None:
    rank = len(extents)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), max_size=rank, unique_by=lambda a: a % rank))
    expected = np.sum(np.empty(extents), axis=tuple(axes), keepdims=keep).shape
    for op in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"):
        assert shape(op, tensor(*extents), const(axes + axes), keep_dims=keep) == expected


@given(SMALL, st.tuples(*[st.integers(1, 4)] * 3), st.booleans(), st.booleans())
def test_batch_matmul_is_numpys(batch: Shape, sizes: tuple[int, int, int], adj_x: bool, adj_y: bool) -> None:
    rows, depth, cols = sizes
    left, right = np.zeros((*batch, rows, depth)), np.zeros((*(1 for _ in batch), depth, cols))
    x = tensor(*(left.swapaxes(-1, -2) if adj_x else left).shape)
    y = tensor(*(right.swapaxes(-1, -2) if adj_y else right).shape)
    expected = (left @ right).shape
    assert shape("BATCH_MATMUL", x, y, adj_x=adj_x, adj_y=adj_y) == expected
    macs = OPERATORS["BATCH_MATMUL"](adj_x=adj_x, adj_y=adj_y).macs((x, y), (tensor(*expected),))  # type: ignore[call-arg]
    assert macs == math.prod(batch) * rows * depth * cols


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_window_counts_positions(size: int, kernel: int, stride: int, dilation: int) -> None:
    reach = (kernel - 1) * dilation + 1
    inside = [start for start in range(0, size, stride) if start + reach <= size]
    assert window(size, kernel, stride, Padding.SAME, dilation) == len(range(0, size, stride))
    if inside:
        assert window(size, kernel, stride, Padding.VALID, dilation) == len(inside)
    else:
        with pytest.raises(ShapeError, match=f"a window of {reach} does not fit in {size}"):
            window(size, kernel, stride, Padding.VALID, dilation)


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-3, 3).filter(bool))
def test_range_is_pythons(start: int, limit: int, step: int) -> None:
    assert shape("RANGE", const(start), const(limit), const(step)) == (len(range(start, limit, step)),)


@given(SMALL, st.integers(1, 3), st.integers(1, 3))
def test_batch_to_space_undoes_space_to_batch(extents: Shape, rows: int, cols: int) -> None:
    x = (2, *extents, 3, 4)
    block = const([rows, cols])
    pads = const([[1, (-x[1] - 1) % rows], [0, -x[2] % cols]])
    folded = shape("SPACE_TO_BATCH_ND", tensor(*x), block, pads)
    assert folded[0] == 2 * rows * cols
    assert shape("BATCH_TO_SPACE_ND", tensor(*folded), block, pads) == x


# --- Case by case


CASES: list[tuple[str, tuple[Tensor | None, ...], dict[str, Any], tuple[Shape, ...] | None]] = [
    ("STRIDED_SLICE", (tensor(5), const([-2]), const([2]), const([1])), {"offset": True}, ((2,),)),
    ("STRIDED_SLICE", (tensor(5), tensor(1, dtype=DType.INT32), const([2]), const([1])), {}, None),
    ("RESHAPE", (tensor(2, 6), const([3, -1])), {}, ((3, 4),)),
    ("RESHAPE", (tensor(2, 6),), {"new_shape": (-1,)}, ((12,),)),
    ("RESHAPE", (tensor(1, 1),), {"new_shape": (0,)}, ((),)),  # how old files write a scalar
    ("RESHAPE", (tensor(2, 6), tensor(2, dtype=DType.INT32)), {"new_shape": (12,)}, None),
    ("FILL", (const([2, 3]), tensor()), {}, ((2, 3),)),
    ("FILL", (tensor(2, dtype=DType.INT32), tensor()), {}, None),
    ("FULLY_CONNECTED", (tensor(2, 3, 4), tensor(5, 4), None), {}, ((6, 5),)),
    ("FULLY_CONNECTED", (tensor(2, 3, 4), tensor(5, 12)), {}, ((2, 5),)),
    ("FULLY_CONNECTED", (tensor(2, 3, 4), tensor(5, 4)), {"keep_num_dims": True}, ((2, 3, 5),)),
    ("DEPTHWISE_CONV_2D", (tensor(1, 9, 9, 3), tensor(1, 3, 3, 6)), {"stride_h": 2}, ((1, 5, 9, 6),)),
    ("CONV_2D", (tensor(1, 9, 9, 4), tensor(8, 3, 3, 2)), {"padding": Padding.VALID}, ((1, 7, 7, 8),)),
    ("TRANSPOSE_CONV", (const([1, 8, 8, 5]), tensor(5, 3, 3, 2), tensor(1, 4, 4, 2)),
     {"stride_w": 2, "stride_h": 2}, ((1, 8, 8, 5),)),
    ("TRANSPOSE_CONV", (tensor(4, dtype=DType.INT32), tensor(5, 3, 3, 2), tensor(1, 4, 4, 2)), {}, None),
    ("AVERAGE_POOL_2D", (tensor(1, 7, 7, 3),), {"filter_width": 7, "filter_height": 7, "padding": Padding.VALID},
     ((1, 1, 1, 3),)),
    ("SVDF", (tensor(1, 16), tensor(64, 16), tensor(64, 8), None, tensor(1, 512)), {"rank": 4}, ((1, 16),)),
    ("RESIZE_BILINEAR", (tensor(1, 2, 3, 4), const([5, 6])), {}, ((1, 5, 6, 4),)),
    ("MIRROR_PAD", (tensor(2, 3), const([[2, 0], [0, 3]])), {"mode": MirrorPadMode.SYMMETRIC}, ((4, 6),)),
    ("GATHER", (tensor(2, 3, 4), tensor(2, 5)), {"axis": 2, "batch_dims": 1}, ((2, 3, 5),)),
    ("GATHER", (tensor(2, 3, 4), tensor(2, 5)), {"axis": -1, "batch_dims": -1}, ((2, 3, 5),)),
    ("GATHER_ND", (tensor(1, 48, 48, 17), tensor(17, 4)), {}, ((17,),)),
    ("GATHER_ND", (tensor(4, 5, 6), tensor(3, 2)), {}, ((3, 6),)),
    ("SLICE", (tensor(5, 6), const([1, 2]), const([-1, 3])), {}, ((4, 3),)),
    ("ONE_HOT", (tensor(2, 3), const(7), tensor(), tensor()), {"axis": -1}, ((2, 3, 7),)),
    ("TOPK_V2", (tensor(2, 9), const(4)), {}, ((2, 4), (2, 4))),
    ("DEPTH_TO_SPACE", (tensor(1, 2, 3, 8),), {"block_size": 2}, ((1, 4, 6, 2),)),
    ("SPACE_TO_DEPTH", (tensor(1, 4, 6, 2),), {"block_size": 2}, ((1, 2, 3, 8),)),
    ("SQUEEZE", (tensor(1, 2, 1),), {"squeeze_dims": (-1,)}, ((1, 2),)),
    ("MEAN", (tensor(), const([0])), {}, ((),)),
    ("SHAPE", (tensor(1, 2, 3),), {}, ((3,),)),
    ("SELECT", (tensor(2), tensor(2, 3), tensor(2, 3)), {}, ((2, 3),)),
    ("EMBEDDING_LOOKUP", (tensor(7), tensor(30, 4)), {}, ((7, 4),)),
    ("DYNAMIC_UPDATE_SLICE", (tensor(4, 5), tensor(1, 5), tensor(2)), {}, ((4, 5),)),
    ("BROADCAST_ARGS", (tensor(2), tensor(4)), {}, ((4,),)),
    ("VAR_HANDLE", (), {}, None),
    ("READ_VARIABLE", (tensor(),), {}, None),
    ("ASSIGN_VARIABLE", (tensor(), tensor(3)), {}, ()),
    ("CALL_ONCE", (), {"init_subgraph_index": 1}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("op", "inputs", "attrs", "expected"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_rule(
    op: str, inputs: tuple[Tensor | None, ...], attrs: dict[str, Any], expected: tuple[Shape, ...] | None
) -> None:
    assert shapes(op, *inputs, **attrs) == expected


REFUSED: list[tuple[str, tuple[Tensor | None, ...], dict[str, Any], str]] = [
    ("ADD", (tensor(2), tensor(3)), {}, r"shapes \[2\] and \[3\] cannot be broadcast together"),
    ("ADD", (tensor(2), None), {}, r"operand 1 \(right\) is missing"),
    ("CONCATENATION", (tensor(2, 3), tensor(4, 3)), {"axis": -1}, "may differ along axis 1 only"),
    ("CONV_2D", (tensor(1, 9, 9, 3), tensor(8, 3, 3, 2)), {}, "3 input channels do not divide into groups of 2"),
    ("DEPTHWISE_CONV_2D", (tensor(1, 9, 9, 4), tensor(1, 3, 3, 6)), {}, "6 channels are not a multiple of 4"),
    ("FULLY_CONNECTED", (tensor(1, 10), tensor(5, 4)), {}, "10 input elements do not divide into vectors of 4"),
    ("MIRROR_PAD", (tensor(2), const([[2, 0]])), {}, "larger than what there is to reflect"),
    ("PAD", (tensor(2), const([[-1, 0]])), {}, "must not be negative"),
    ("RESHAPE", (tensor(6), const([4])), {}, r"6 elements cannot take the shape \[4\]"),
    ("SPLIT", (const(0), tensor(5)), {"num_splits": 2}, r"axis 0 of \[5\] does not divide into 2 equal parts"),
    ("SPLIT", (const(0), tensor(0)), {"num_splits": MOST_OUTPUTS + 1}, "parts, 1 to"),
    ("SPLIT_V", (tensor(5), const([2, 2]), const(0)), {"num_splits": 2}, r"\[2, 2\] do not add up to axis 0 of \[5\]"),
    ("STRIDED_SLICE", (tensor(5), const([5]), const([6]), const([1])), {"shrink_axis_mask": 1}, "element 5 lies"),
    ("STRIDED_SLICE", (tensor(5), const([0]), const([6]), const([0])), {}, "a stride of 0 is not allowed"),
    ("STRIDED_SLICE", (tensor(5), *[const([1, 1])] * 3), {"ellipsis_mask": 3}, "2 ellipses"),
    ("STRIDED_SLICE", (tensor(5), *[const([1, 1])] * 3), {}, "2 entries are too many for a tensor of rank 1"),
    ("TRANSPOSE", (tensor(2, 3), const([0, 0])), {}, r"order \[0, 0\] is not a permutation of 2 axes"),
    ("TRANSPOSE_CONV", (const([1, 8, 8, 5]), tensor(5, 3, 3, 2), tensor(1, 4, 4, 2)), {}, "does not give"),
    ("UNPACK", (tensor(3, 2),), {"num": 2}, "has 3 elements, the attributes say 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "inputs", "attrs", "message"), REFUSED, ids=[f"{c[0]}-{i}" for i, c in enumerate(REFUSED)]
)
def test_refusal(op: str, inputs: tuple[Tensor | None, ...], attrs: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shapes(op, *inputs, **attrs)


def lstm(x: Tensor, cells: int, units: int, **attrs: Any) -> tuple[Shape, int]:
    """Output shape and MACs of an LSTM without its optional operands but, where units < cells, the projection."""
    weights, recurrent, bias = tensor(cells, x.shape[2]), tensor(cells, units), tensor(cells)
    projection = tensor(units, cells) if units < cells else None
    inputs = (x, *[weights] * 4, *[recurrent] * 4, None, None, None, *[bias] * 4, projection, None)
    output = shape("UNIDIRECTIONAL_SEQUENCE_LSTM", *inputs, **attrs)
    return output, OPERATORS["UNIDIRECTIONAL_SEQUENCE_LSTM"](**attrs).macs(inputs, (tensor(*output),))


def test_lstm_without_and_with_projection() -> None:
    assert lstm(tensor(2, 28, 10), 20, 20) == ((2, 28, 20), 2 * 28 * 4 * (20 * 10 + 20 * 20))
    assert lstm(tensor(28, 2, 10), 20, 20, time_major=True) == ((28, 2, 20), 2 * 28 * 4 * (20 * 10 + 20 * 20))
    assert lstm(tensor(1, 5, 10), 20, 8) == ((1, 5, 8), 5 * (4 * (20 * 10 + 20 * 8) + 8 * 20))
    with pytest.raises(ShapeError, match="the input has 2 dimensions, 3 are required"):
        shape("UNIDIRECTIONAL_SEQUENCE_LSTM", tensor(1, 5), *[tensor(4, 5)] * 8)


def test_macs_case_by_case() -> None:
    def macs(op: str, *inputs: Tensor, **attrs: Any) -> int:
        return OPERATORS[op](**attrs).macs(inputs, (tensor(*shape(op, *inputs, **attrs)),))

    assert macs("CONV_2D", tensor(1, 16, 16, 32), tensor(8, 3, 3, 32)) == 16 * 16 * 8 * 3 * 3 * 32
    assert macs("CONV_2D", tensor(1, 16, 16, 32), tensor(8, 3, 3, 16)) == 16 * 16 * 8 * 3 * 3 * 16  # two groups
    assert macs("DEPTHWISE_CONV_2D", tensor(1, 16, 16, 8), tensor(1, 3, 3, 16)) == 16 * 16 * 16 * 3 * 3
    assert macs("FULLY_CONNECTED", tensor(2, 256), tensor(32, 256)) == 2 * 32 * 256
    strides = {"stride_w": 2, "stride_h": 2}
    given = (const([1, 8, 8, 5]), tensor(5, 3, 3, 2), tensor(1, 4, 4, 2))
    assert macs("TRANSPOSE_CONV", *given, **strides) == 4 * 4 * 2 * 5 * 3 * 3
    assert macs("SVDF", tensor(1, 16), tensor(64, 16), tensor(64, 8), rank=4) == 64 * (16 + 8)
    assert macs("AVERAGE_POOL_2D", tensor(1, 8, 8, 2), filter_width=2, filter_height=2) == 0


def test_control_flow_names_its_graphs() -> None:
    assert OPERATORS["CALL_ONCE"](init_subgraph_index=3).subgraphs() == (3,)  # type: ignore[call-arg]
    assert OPERATORS["IF"](then_subgraph_index=1, else_subgraph_index=2).subgraphs() == (1, 2)  # type: ignore[call-arg]
    assert OPERATORS["WHILE"](cond_subgraph_index=1, body_subgraph_index=2).subgraphs() == (1, 2)  # type: ignore[call-arg]
    assert OPERATORS["ADD"]().subgraphs() == ()
