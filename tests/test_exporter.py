# SPDX-License-Identifier: Apache-2.0
"""`.tflite` written from the IR: read back the same, aligned, shared, and run alike by the runtimes."""

from __future__ import annotations

import dataclasses
import enum
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

import run_tflite
from thimble.errors import InternalError, ModelError, UnsupportedOperatorError
from thimble.exporters.tflite import model_to_bytes
from thimble.exporters.versions import operator_version
from thimble.importers.options import accessor, read_attrs
from thimble.importers.tflite import parse_tflite, read_tflite
from thimble.ir import (
    OURS,
    Activation,
    Attrs,
    Custom,
    DType,
    Graph,
    Kind,
    Model,
    Op,
    Opaque,
    OpId,
    Padding,
    Quant,
    SignatureDef,
    Source,
    Tensor,
    TensorId,
)
from thimble.ops import OPERATORS

MODELS = Path(os.environ.get("THIMBLE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
FILES = sorted(MODELS.glob("*.tflite"))
NAME = "made.tflite"
HALF = Quant((0.5,), (-3,))

# Run on LiteRT's reference kernels, and on TFLM where it takes the model: a chain, residuals, variables, floats.
RUN = ("kws_ref_model_int8", "pretrainedResnet_quant", "trained_lstm_int8", "hello_world_float", "ad01_int8")


def without_numbers(model: Model) -> Model:
    """The model but for what a rewritten file may change: buffer numbers, its size, notices about the old file."""
    graphs = tuple(
        dataclasses.replace(g, tensors=tuple(dataclasses.replace(t, buffer=0) for t in g.tensors)) for g in model.graphs
    )
    return dataclasses.replace(model, graphs=graphs, size_bytes=0, notices=())


def sharing(model: Model) -> set[frozenset[tuple[int, int]]]:
    """Which constants share a buffer, as (graph, tensor) pairs."""
    groups: dict[int, set[tuple[int, int]]] = {}
    for index, graph in enumerate(model.graphs):
        for tensor in graph.tensors:
            if tensor.kind is Kind.CONSTANT:
                groups.setdefault(tensor.buffer, set()).add((index, tensor.id))
    return {frozenset(g) for g in groups.values()}


def tensor(index: int, shape: tuple[int, ...], kind: Kind = Kind.ACTIVATION, **more: Any) -> Tensor:
    return Tensor(
        TensorId(index), more.pop("name", f"t{index}"), shape, more.pop("dtype", DType.INT8), kind=kind, **more
    )


def constant(index: int, shape: tuple[int, ...], buffer: int, fill: int = 1, **more: Any) -> Tensor:
    data = bytes([fill]) * int(np.prod(shape)) * (more.get("dtype", DType.INT8).bits // 8)
    return tensor(index, shape, Kind.CONSTANT, data=data, buffer=buffer, **more)


def op(
    index: int,
    attrs: Attrs,
    inputs: tuple[int | None, ...],
    outputs: tuple[int, ...],
    graph: Graph | None = None,
    **more: Any,
) -> Op:
    return Op(
        OpId(index),
        f"t{outputs[0]}",
        attrs,
        tuple(None if i is None else TensorId(i) for i in inputs),
        tuple(map(TensorId, outputs)),
        Source(NAME, more.pop("graph_name", "main"), index),
        **more,
    )


def model(*graphs: Graph, **more: Any) -> Model:
    return Model("made", NAME, "tflite", 0, graphs, **more)


def graph(
    tensors: tuple[Tensor, ...],
    ops: tuple[Op, ...],
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    name: str = "main",
) -> Graph:
    return Graph(name, tensors, ops, tuple(map(TensorId, inputs)), tuple(map(TensorId, outputs)))


def relu(index: int, source: int, target: int, name: str = "main") -> Op:
    return op(index, OPERATORS["RELU"](), (source,), (target,), graph_name=name)


def everything() -> Model:
    """One of each thing that a file can hold."""
    conv = OPERATORS["CONV_2D"](
        padding=Padding.VALID, stride_w=2, stride_h=1, fused_activation_function=Activation.RELU6
    )  # type: ignore[call-arg]
    per_channel = Quant((0.25, 0.125), (0, 0), axis=0)
    main = graph(
        (
            tensor(0, (1, 4, 4, 3), Kind.INPUT, quant=HALF, signature=(-1, 4, 4, 3)),
            constant(1, (2, 1, 1, 3), buffer=7, quant=per_channel),
            constant(2, (2,), buffer=8, fill=0, dtype=DType.INT32, quant=per_channel),
            tensor(3, (1, 4, 2, 2), quant=HALF, signature=(-1, 4, 2, 2)),
            tensor(4, (1, 6), Kind.VARIABLE, name="état"),
            tensor(5, (0,), dtype=DType.FLOAT32),
            tensor(6, (3,), quant=HALF),
            constant(7, (1, 6), buffer=7),
            constant(8, (), buffer=9, dtype=DType.INT32),
        ),
        (
            op(0, conv, (0, 1, 2), (3,)),
            op(1, Custom("Mine", b"\x01\x02\x03"), (3, None, 4, 7, 8), (6,), intermediates=(TensorId(5),)),
        ),
        (0,),
        (6,),
    )
    other = graph(
        (tensor(0, (1, 6), Kind.INPUT), tensor(1, (1, 6)), constant(2, (1, 6), buffer=7)),
        (relu(0, 0, 1, "second"),),
        (0,),
        (1,),
        "second",
    )
    entry = SignatureDef("serve", 0, (("image", TensorId(0)),), (("scores", TensorId(6)), ("state", TensorId(4))))
    metadata = (("empty", b""), ("OfflineMemoryAllocation", b"\x00" * 12), ("twin", b"\x00" * 12))
    return model(main, other, signatures=(entry, SignatureDef("aux", 1, (), ())), metadata=metadata)


def test_everything_comes_back() -> None:
    before = everything()
    after = parse_tflite(model_to_bytes(before), NAME)
    assert without_numbers(after) == without_numbers(before)
    assert sharing(after) == sharing(before)


def test_the_same_model_gives_the_same_bytes() -> None:
    data = model_to_bytes(everything())
    assert data == model_to_bytes(everything())
    assert data == model_to_bytes(parse_tflite(data, NAME))


def test_header_version_and_description() -> None:
    data = model_to_bytes(everything())
    root = tflite.Model.GetRootAs(data, 0)
    assert (data[4:8], root.Version(), root.Description()) == (b"TFL3", 3, b"Thimble")


def test_constants_are_aligned_and_stored_once() -> None:
    data = model_to_bytes(everything())
    root = tflite.Model.GetRootAs(data, 0)
    contents = [root.Buffers(i) for i in range(root.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in contents if b.DataLength()]
    assert [s % 16 for s in starts] == [0] * len(starts)
    assert contents[0].DataLength() == 0  # by convention, for everything that is no constant
    # The sentinel, three constants (7 is used three times), and one buffer per metadata entry.
    assert len(contents) == 1 + 3 + 3


def test_equal_numbers_with_other_contents_are_not_shared() -> None:
    tensors = (tensor(0, (1, 4), Kind.INPUT), tensor(1, (1, 4)), constant(2, (1, 4), 0, 5), constant(3, (1, 4), 0, 6))
    made = model(graph(tensors, (relu(0, 0, 1),), (0,), (1,)))
    again = parse_tflite(model_to_bytes(made), NAME)
    assert [t.data for t in again.main.tensors[2:]] == [b"\x05" * 4, b"\x06" * 4]


def test_a_given_batch_is_kept() -> None:
    first = parse_tflite(model_to_bytes(everything()), NAME)
    assert first.main.tensors[0].signature == (-1, 4, 4, 3)
    four = parse_tflite(model_to_bytes(first), NAME, batch=4)
    again = parse_tflite(model_to_bytes(four), NAME)
    assert [t.shape for t in again.main.tensors] == [t.shape for t in four.main.tensors]
    assert again.main.tensors[0].shape == (4, 4, 4, 3)
    assert again.main.tensors[0].signature is None


def test_both_fields_of_an_operator_code() -> None:
    once = OPERATORS["CALL_ONCE"](init_subgraph_index=1)  # type: ignore[call-arg]
    tensors = (tensor(0, (1,), Kind.INPUT), tensor(1, (1,)))
    first = Op(OpId(0), "call_once_0", once, (), (), Source(NAME, "main", 0))
    made = model(graph(tensors, (first, relu(1, 0, 1)), (0,), (1,)), graph((), (), (), (), "init"))
    data = model_to_bytes(made)
    codes = [tflite.Model.GetRootAs(data, 0).OperatorCodes(i) for i in range(2)]
    # The old field has one byte: larger codes stand there as 127.
    assert [(c.DeprecatedBuiltinCode(), c.BuiltinCode()) for c in codes] == [(127, 129), (19, 19)]
    assert without_numbers(parse_tflite(data, NAME)) == without_numbers(made)


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, DType):
        return DType.INT8
    if isinstance(value, enum.Enum):
        return list(type(value))[-1]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "text"
    if isinstance(value, tuple):
        return (3, -1)
    return value + 3 if isinstance(value, int) else 0.5


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_options_of_every_operator(name: str) -> None:
    cls = OPERATORS[name]
    fields = {f.name: f for f in dataclasses.fields(cls) if f.metadata != OURS}
    for attrs in (cls(), cls(**{n: changed(getattr(cls(), n)) for n in fields})):
        tensors = (tensor(0, (1,), Kind.INPUT), tensor(1, (1,)))
        root = tflite.Model.GetRootAs(model_to_bytes(model(graph(tensors, (op(0, attrs, (0,), (1,)),), (0,), (1,)))), 0)
        record = root.Subgraphs(0).Operators(0)
        assert root.OperatorCodes(0).BuiltinCode() == getattr(tflite.BuiltinOperator, name)
        assert record.BuiltinOptionsType() == getattr(tflite.BuiltinOptions, cls.OPTIONS or "NONE")
        assert read_attrs(cls, record.BuiltinOptions()) == attrs


def test_accessor_names() -> None:
    assert accessor("stride_w") == "StrideW"


def test_an_operator_without_a_file_is_refused() -> None:
    tensors = (tensor(0, (1,), Kind.INPUT), tensor(1, (1,)))
    made = model(graph(tensors, (op(0, Opaque("HASHTABLE"), (0,), (1,)),), (0,), (1,)))
    with pytest.raises(UnsupportedOperatorError, match=r"HASHTABLE 't1' \(operator 0 of made.tflite\): its options"):
        model_to_bytes(made)


def test_a_sparse_constant_is_refused() -> None:
    short = tensor(2, (8,), Kind.CONSTANT, data=b"12", buffer=1)
    made = model(graph((tensor(0, (1,), Kind.INPUT), tensor(1, (1,)), short), (relu(0, 0, 1),), (0,), (1,)))
    with pytest.raises(ModelError, match="tensor 't2' is sparse"):
        model_to_bytes(made)


@pytest.mark.models
@pytest.mark.skipif(not FILES, reason=f"no models in {MODELS}; set THIMBLE_MODELS")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_real_models_come_back(path: Path) -> None:
    before = read_tflite(path)
    data = model_to_bytes(before)
    after = parse_tflite(data, str(path))
    assert without_numbers(after) == without_numbers(before)
    assert sharing(after) == sharing(before)
    assert model_to_bytes(after) == data
    assert len(data) < 1.01 * before.size_bytes + 256


@pytest.mark.models
@pytest.mark.parametrize("name", ["kws_ref_model_int8", "pretrainedResnet_quant", "mcunet-320kb-1mb_imagenet"])
def test_versions_as_the_converter_gives_them(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"no models in {MODELS}; set THIMBLE_MODELS")
    root = tflite.Model.GetRootAs(path.read_bytes(), 0)
    records = [root.Subgraphs(0).Operators(i) for i in range(root.Subgraphs(0).OperatorsLength())]
    main = read_tflite(path).main
    versions = [operator_version(op, main) for op in main.ops]
    assert versions == [root.OperatorCodes(r.OpcodeIndex()).Version() for r in records]


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a handful of shared models as they are (`old`) and written again (`new`)."""
    if not all((MODELS / f"{name}.tflite").exists() for name in RUN):
        pytest.skip(f"no models in {MODELS}; set THIMBLE_MODELS")
    folder = tmp_path_factory.mktemp("rewritten")
    for name in RUN:
        path = MODELS / f"{name}.tflite"
        (folder / f"{name}_old.tflite").write_bytes(path.read_bytes())
        (folder / f"{name}_new.tflite").write_bytes(model_to_bytes(read_tflite(path)))
    return folder


@pytest.mark.models
@pytest.mark.parametrize(
    "runtime",
    [
        pytest.param("litert_ref", marks=pytest.mark.skipif(not run_tflite.HAS_LITERT, reason="LiteRT is missing")),
        pytest.param(
            "tflm",
            marks=[pytest.mark.wheel, pytest.mark.skipif(not run_tflite.HAS_TFLM, reason="the TFLM wheel is missing")],
        ),
    ],
)
def test_runtimes_give_equal_outputs(rewritten: Path, runtime: str) -> None:
    found = run_tflite.outputs(runtime, sorted(rewritten.glob("*.tflite")), rewritten)
    for name in RUN:
        old, new = found[f"{name}_old"], found[f"{name}_new"]
        for case in range(run_tflite.CASES):
            assert old[case]
            for left, right in zip(old[case], new[case], strict=True):
                np.testing.assert_array_equal(left, right, err_msg=name)


def test_what_no_file_can_say() -> None:
    attrs = OPERATORS["CONV_2D"](margins=(1, 1, 1, 1))  # type: ignore[call-arg]
    tensors = (tensor(0, (1,), Kind.INPUT), tensor(1, (1,)))
    with pytest.raises(InternalError, match="CONV_2D: margins"):
        model_to_bytes(model(graph(tensors, (op(0, attrs, (0,), (1,)),), (0,), (1,))))
