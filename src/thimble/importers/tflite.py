# SPDX-License-Identifier: Apache-2.0
"""`.tflite` to `Model`, through the generated reader of the published schema.

The file is untrusted: `flatbuffer.check` runs first, and everything that the rest of Thimble relies on
(indices in range, each tensor written once and before it is read, constants as long as their shape
says) is checked here, so that a `Graph` is sound by construction.
"""

from __future__ import annotations

import dataclasses
import struct
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from thimble.errors import ModelError, ThimbleError
from thimble.importers import flatbuffer
from thimble.importers.options import dtype_of, read_attrs
from thimble.importers.shapes import settle, sized
from thimble.ir import (
    Attrs,
    Custom,
    DType,
    Graph,
    Kind,
    Model,
    Op,
    Opaque,
    OpId,
    Quant,
    Shape,
    SignatureDef,
    Source,
    Tensor,
    TensorId,
)
from thimble.ops import OPERATORS
from thimble.ops.customs import custom

_LONGEST_MESSAGE = 600  # characters; names in a damaged file can be as long as the file
_CUSTOM = 32


def read_tflite(path: Path, batch: int | None = None) -> Model:
    """Read a `.tflite` file.

    Args:
        path: the file.
        batch: size of a dynamic batch dimension; None takes 1 and says so in `Model.notices`.

    Raises:
        ModelError: the file cannot be read; the message names the file, the operator and what to do.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}.") from None
    return parse_tflite(data, str(path), batch)


def parse_tflite(data: bytes, file: str, batch: int | None = None) -> Model:
    """Parse the bytes of a `.tflite` file; `file` is its name for messages. See `read_tflite`."""
    flatbuffer.check(data, file)
    try:
        return _Reader(data, file).model(batch)
    except ThimbleError as error:
        raise ModelError(f"{file}: {_clean(str(error))}") from None
    except (struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError, AttributeError) as error:
        text = _clean(f"{error}. Export or download the model again.")
        raise ModelError(f"{file}: damaged .tflite: {text}") from None


class _Reader:
    """One file being read; holds what every step needs."""

    def __init__(self, data: bytes, file: str) -> None:
        import tflite

        self.data = data
        self.file = file
        self.root: Any = tflite.Model.GetRootAs(data, 0)
        self.builtins = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
        self.unions = {v: k for k, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
        self.buffers: dict[int, bytes] = {}
        self.room = 4 * len(data)  # bytes that buffers behind the tables may come to, overlaps counted twice

    def model(self, batch: int | None) -> Model:
        root = self.root
        if root.SubgraphsLength() == 0:
            raise ModelError("the model has no graph")
        graphs = [self.graph(root.Subgraphs(i), i) for i in range(root.SubgraphsLength())]
        _check_calls(graphs)
        graphs[0], notices = settle(graphs[0], batch)
        graphs[1:] = [settle(graph)[0] for graph in graphs[1:]]
        return Model(
            name=Path(self.file).stem,
            file=self.file,
            format="tflite",
            size_bytes=len(self.data),
            graphs=tuple(graphs),
            signatures=tuple(self.signature(root.SignatureDefs(i), graphs) for i in range(root.SignatureDefsLength())),
            metadata=tuple(
                (_text(m.Name()), self.buffer(m.Buffer()))
                for m in (root.Metadata(i) for i in range(root.MetadataLength()))
            ),
            notices=notices + _custom_notices(graphs),
        )

    def buffer(self, index: int) -> bytes:
        """Contents of a buffer, wherever the file keeps it (in the table, or behind it for large models)."""
        if not 0 <= index < self.root.BuffersLength():
            raise ModelError(f"buffer {index} does not exist")
        if index not in self.buffers:
            table = self.root.Buffers(index)
            start, size = table.Offset(), table.Size()
            if start > 1:
                self.room -= size
                if start + size > len(self.data) or self.room < 0:
                    raise ModelError(f"buffer {index} lies outside the file, or the same data is referenced too often")
                self.buffers[index] = self.data[start : start + size]
            else:
                self.buffers[index] = b"" if table.DataLength() == 0 else table.DataAsNumpy().tobytes()
        return self.buffers[index]

    def graph(self, table: Any, index: int) -> Graph:
        name = _text(table.Name()) or f"graph_{index}"
        count = table.TensorsLength()
        inputs = _indices(table, "Inputs", count, f"inputs of graph '{name}'")
        outputs = _indices(table, "Outputs", count, f"outputs of graph '{name}'")
        records = [table.Operators(i) for i in range(table.OperatorsLength())]
        written = {int(t) for op in records for t in _ints(op, "Outputs")}
        fed = set(inputs)
        tensors = tuple(self.tensor(table.Tensors(i), i, fed, written) for i in range(count))
        ops = tuple(self.op(record, i, name, tensors) for i, record in enumerate(records))
        graph = Graph(name, _with_work_space(tensors, ops, written), ops, inputs, outputs)
        _check_order(graph)
        return graph

    def tensor(self, table: Any, index: int, inputs: set[TensorId], written: set[int]) -> Tensor:
        name = _text(table.Name()) or f"tensor_{index}"
        dtype = dtype_of(table.Type())
        shape = _shape(table, "Shape")
        if any(d < -1 for d in shape):
            raise ModelError(f"tensor '{name}' has the shape {list(shape)}; a dimension cannot be below -1")
        dynamic = _shape(table, "ShapeSignature") or shape
        signature = dynamic if -1 in dynamic else None
        shape = tuple(1 if d == -1 else d for d in shape)
        data = self.buffer(table.Buffer())
        tensor = Tensor(
            id=TensorId(index),
            name=name,
            shape=shape,
            dtype=dtype,
            quant=_quant(table.Quantization()),
            kind=_kind(index, table.IsVariable(), bool(data), inputs, written),
            signature=signature,
            buffer=table.Buffer(),
        )
        if sized(tensor).kind is not Kind.CONSTANT:
            return tensor
        if len(data) < tensor.nbytes and dtype is not DType.STRING and table.Sparsity() is None:
            raise ModelError(f"tensor '{name}' needs {tensor.nbytes:,} bytes of data, the file holds {len(data):,}")
        return dataclasses.replace(tensor, data=data)

    def op(self, record: Any, index: int, graph: str, tensors: tuple[Tensor, ...]) -> Op:
        code = record.OpcodeIndex()
        if not 0 <= code < self.root.OperatorCodesLength():
            raise ModelError(f"operator {index} has the code {code}, which the file does not define")
        opcode = self.root.OperatorCodes(code)
        builtin = max(opcode.BuiltinCode(), opcode.DeprecatedBuiltinCode())
        outputs: tuple[TensorId, ...] = _indices(record, "Outputs", len(tensors), f"outputs of operator {index}")
        inputs = _indices(record, "Inputs", len(tensors), f"inputs of operator {index}", optional=True)
        kind = self.builtins.get(builtin, f"BUILTIN_{builtin}")
        name = tensors[outputs[0]].name if outputs else f"{kind.lower()}_{index}"
        source = Source(Path(self.file).name, graph, index)
        try:
            attrs = self.attrs(record, opcode, builtin, kind)
        except (ModelError, ValueError) as error:
            raise ModelError(f"{kind} '{name}' (operator {index} of {source.file}): {error}") from None
        intermediates = _indices(record, "Intermediates", len(tensors), f"intermediates of operator {index}")
        return Op(OpId(index), name, attrs, inputs, outputs, source, intermediates)

    def attrs(self, record: Any, opcode: Any, builtin: int, kind: str) -> Attrs:
        if builtin == _CUSTOM:
            options = b"" if record.CustomOptionsLength() == 0 else record.CustomOptionsAsNumpy().tobytes()
            return custom(_text(opcode.CustomCode()) or "custom", options)
        cls = OPERATORS.get(kind)
        if cls is None:
            return Opaque(kind)
        union = self.unions.get(record.BuiltinOptionsType(), "unknown")
        if union not in ("NONE", cls.OPTIONS):
            raise ModelError(f"carries {union}, which is not the options table of {kind}")
        return read_attrs(cls, record.BuiltinOptions() if union != "NONE" else None)

    def signature(self, table: Any, graphs: list[Graph]) -> SignatureDef:
        graph = table.SubgraphIndex()
        if graph >= len(graphs):
            raise ModelError(f"signature '{_text(table.SignatureKey())}' names graph {graph}, which does not exist")

        def pairs(get: Any, count: int) -> tuple[tuple[str, TensorId], ...]:
            maps = [get(i) for i in range(count)]
            limit = len(graphs[graph].tensors)
            if any(m.TensorIndex() >= limit for m in maps):
                raise ModelError(f"signature '{_text(table.SignatureKey())}' names a tensor that does not exist")
            return tuple((_text(m.Name()), TensorId(m.TensorIndex())) for m in maps)

        return SignatureDef(
            _text(table.SignatureKey()),
            graph,
            pairs(table.Inputs, table.InputsLength()),
            pairs(table.Outputs, table.OutputsLength()),
        )


def _clean(text: str) -> str:
    """A message with names from an untrusted file in it, as one line that a terminal can show."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    half = _LONGEST_MESSAGE // 2
    return line if len(line) <= 2 * half else f"{line[:half]} ... {line[-half:]}"


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _ints(table: Any, field: str) -> list[int]:
    if getattr(table, field + "Length")() == 0:
        return []
    return [int(v) for v in getattr(table, field + "AsNumpy")()]


def _shape(table: Any, field: str) -> Shape:
    return tuple(_ints(table, field))


def _indices(table: Any, field: str, count: int, what: str, *, optional: bool = False) -> tuple[Any, ...]:
    values = _ints(table, field)
    for value in values:
        if not (0 <= value < count or (optional and value == -1)):
            raise ModelError(f"{what}: tensor {value} does not exist (the graph has {count})")
    return tuple(None if v == -1 else TensorId(v) for v in values)


def _kind(index: int, variable: bool, data: bool, inputs: set[TensorId], written: set[int]) -> Kind:
    if variable:
        return Kind.VARIABLE
    if index in written:
        return Kind.ACTIVATION
    if data:
        return Kind.CONSTANT
    return Kind.INPUT if index in inputs else Kind.ACTIVATION


def _quant(table: Any) -> Quant | None:
    if table is None or table.ScaleLength() == 0:
        return None
    scale = tuple(float(s) for s in table.ScaleAsNumpy())
    points = tuple(int(z) for z in table.ZeroPointAsNumpy()) if table.ZeroPointLength() else ()
    if len(points) not in (0, 1, len(scale)):
        raise ModelError(f"a tensor has {len(scale)} scales and {len(points)} zero points")
    if not all(np.isfinite(scale)):
        raise ModelError("a tensor has a scale that is not a finite number")
    full = points if len(points) == len(scale) else (points or (0,)) * len(scale)
    return Quant(scale, full, table.QuantizedDimension())


def _with_work_space(tensors: tuple[Tensor, ...], ops: tuple[Op, ...], written: set[int]) -> tuple[Tensor, ...]:
    """Mark what only operators that Thimble does not know read and nobody writes: their work space.

    NPU compilers list it among a custom operator's inputs; TFLM plans for it from the first step on.
    """
    readers: dict[TensorId, list[Op]] = {}
    for op in ops:
        for tensor in op.inputs:
            if tensor is not None and tensor not in written and tensors[tensor].kind is Kind.ACTIVATION:
                readers.setdefault(tensor, []).append(op)
    marked = {t for t, found in readers.items() if all(isinstance(op.attrs, Custom | Opaque) for op in found)}
    return tuple(dataclasses.replace(t, kind=Kind.SCRATCH) if t.id in marked else t for t in tensors)


def _check_order(graph: Graph) -> None:
    """Each tensor is written at most once, and before it is read."""
    writer = _writers(graph)
    ready = {t.id for t in graph.tensors if t.kind is not Kind.ACTIVATION or t.nbytes == 0}
    for op in graph.ops:
        for tensor in op.inputs:
            if tensor is None or tensor in ready:
                continue
            name = graph.tensors[tensor].name
            if tensor in writer:
                raise ModelError(
                    f"{op.label} reads '{name}' before {writer[tensor].label} writes it: "
                    "the operators are out of order or form a cycle"
                )
            raise ModelError(f"{op.label} reads '{name}', which is no input, no constant, and written by no operator")
        ready.update(op.outputs)
    for result in graph.outputs:
        if result not in ready:
            raise ModelError(f"graph '{graph.name}' returns '{graph.tensors[result].name}', which no operator writes")


def _writers(graph: Graph) -> dict[TensorId, Op]:
    writer: dict[TensorId, Op] = {}
    for op in graph.ops:
        for tensor in op.outputs:
            if tensor in writer:
                name = graph.tensors[tensor].name
                raise ModelError(f"{op.label} writes '{name}', which {writer[tensor].label} wrote")
            if graph.tensors[tensor].kind is not Kind.VARIABLE:
                writer[tensor] = op
    return writer


def _check_calls(graphs: list[Graph]) -> None:
    """Graphs that control flow runs exist, and none runs itself, not even by way of others."""
    for graph in graphs:
        for op in graph.ops:
            for index in op.attrs.subgraphs():
                if not 0 < index < len(graphs):
                    others = f"the file's other graphs are 1 to {len(graphs) - 1}"
                    raise ModelError(f"{op.label} runs graph {index}; {others}")
    calls = {i: {index for op in graph.ops for index in op.attrs.subgraphs()} for i, graph in enumerate(graphs)}
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        circle = " runs ".join(f"graph {index}" for index in reversed(error.args[1]))
        raise ModelError(f"{circle}: no runtime allows a graph to run itself") from None


def _custom_notices(graphs: list[Graph]) -> tuple[str, ...]:
    found = sorted({op.kind for g in graphs for op in g.ops if isinstance(op.attrs, Custom | Opaque)})
    return tuple(f"{kind} is not known to Thimble: its tensors are mapped by the sizes in the file" for kind in found)
