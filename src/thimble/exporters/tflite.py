# SPDX-License-Identifier: Apache-2.0
"""`Model` to `.tflite`, through the generated builder of the published schema.

The inverse of `importers/tflite.py`: `parse_tflite(model_to_bytes(m), file)` gives the same graphs again, but for
the numbering of buffers. The same model always gives the same bytes. What the IR does not keep cannot be
written: recorded minima and maxima, the description, and the versions of operators, which are set to the
least that knows the operands' types.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np

from thimble.errors import InternalError, ModelError, UnsupportedOperatorError
from thimble.exporters.versions import operator_version
from thimble.importers.options import accessor, code_of
from thimble.ir import OURS, Custom, DType, Graph, Kind, Model, Op, Opaque, Quant, SignatureDef, Tensor

_ALIGNMENT = 16  # bytes; runtimes read constants in place, with vector instructions
_DEPRECATED_LIMIT = 127  # the old one-byte operator code; larger operators stand there as this placeholder
_CUSTOM = 32


def model_to_bytes(model: Model) -> bytes:
    """Write a model as `.tflite`.

    Constants with the same `Tensor.buffer` and contents are stored once, each at a multiple of 16 bytes.

    Raises:
        UnsupportedOperatorError: a builtin operator that Thimble has no file for: its options are not in the IR.
        ModelError: a sparse constant, whose layout is not in the IR.
    """
    return _Writer(model).finish()


class _Writer:
    """One file being written. Buffers and operator codes get their numbers when they are first met."""

    def __init__(self, model: Model) -> None:
        import tflite

        self.model = model
        self.builder: Any = flatbuffers.Builder(1024 + 2 * sum(g.constant_bytes() for g in model.graphs))
        self.builtins = vars(tflite.BuiltinOperator)
        self.unions = vars(tflite.BuiltinOptions)
        self.buffers: dict[object, tuple[int, bytes]] = {None: (0, b"")}
        self.codes: dict[tuple[int, str, int], int] = {}

    def finish(self) -> bytes:
        graphs = [self.graph(g) for g in self.model.graphs]
        metadata = [self.metadata(i, name, data) for i, (name, data) in enumerate(self.model.metadata)]
        fields = {
            "OperatorCodes": self.offsets([self.code(*key) for key in self.codes]),
            "Subgraphs": self.offsets(graphs),
            "Description": self.builder.CreateString("Thimble"),
            "Buffers": self.offsets([self.buffer(data) for _, data in self.buffers.values()]),
            "Metadata": self.offsets(metadata) if metadata else None,
            "SignatureDefs": self.offsets([self.signature(s) for s in self.model.signatures]),
        }
        self.builder.Finish(self.table("Model", Version=3, **fields), file_identifier=b"TFL3")
        return bytes(self.builder.Output())

    def table(self, name: str, **fields: Any) -> int:
        """Write a table; fields that are None stay absent, and so take the schema's default."""
        module = importlib.import_module(f"tflite.{name}")
        getattr(module, f"{name}Start")(self.builder)
        for field, value in fields.items():
            if value is not None:
                getattr(module, f"{name}Add{field}")(self.builder, value)
        end: int = getattr(module, f"{name}End")(self.builder)
        return end

    def offsets(self, values: Sequence[int]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        end: int = self.builder.EndVector()
        return end

    def numbers(self, values: Sequence[float], kind: str = "<i4") -> int:
        end: int = self.builder.CreateNumpyVector(np.array(values, dtype=kind))
        return end

    def blob(self, data: bytes) -> int:
        self.builder.Prep(_ALIGNMENT, len(data))
        end: int = self.builder.CreateByteVector(data)
        return end

    def buffer(self, data: bytes) -> int:
        return self.table("Buffer", Data=self.blob(data) if data else None)

    def stored(self, key: object, data: bytes) -> int:
        """Number of the buffer for `data`; the same key has the same buffer."""
        return self.buffers.setdefault(key, (len(self.buffers), data))[0]

    def metadata(self, index: int, name: str, data: bytes) -> int:
        number = self.stored(("metadata", index), data)
        return self.table("Metadata", Name=self.builder.CreateString(name), Buffer=number)

    def graph(self, graph: Graph) -> int:
        tensors = [self.tensor(_settled(t) if t.id in graph.inputs else t) for t in graph.tensors]
        ops = [self.op(op, graph) for op in graph.ops]
        return self.table(
            "SubGraph",
            Tensors=self.offsets(tensors),
            Inputs=self.numbers(graph.inputs),
            Outputs=self.numbers(graph.outputs),
            Operators=self.offsets(ops),
            Name=self.builder.CreateString(graph.name),
        )

    def tensor(self, tensor: Tensor) -> int:
        number = 0
        if tensor.kind is Kind.CONSTANT and tensor.data is not None:
            if len(tensor.data) < tensor.nbytes and tensor.dtype is not DType.STRING:
                raise ModelError(f"tensor '{tensor.name}' is sparse; Thimble writes dense constants only")
            number = self.stored((tensor.buffer, tensor.data), tensor.data)
        return self.table(
            "Tensor",
            Shape=self.numbers(tensor.shape),
            Type=code_of(tensor.dtype),
            Buffer=number,
            Name=self.builder.CreateString(tensor.name),
            Quantization=None if tensor.quant is None else self.quant(tensor.quant),
            IsVariable=tensor.kind is Kind.VARIABLE,
            ShapeSignature=None if tensor.signature is None else self.numbers(tensor.signature),
            HasRank=tensor.signature is not None or None,
        )

    def quant(self, quant: Quant) -> int:
        return self.table(
            "QuantizationParameters",
            Scale=self.numbers(quant.scale, "<f4"),
            ZeroPoint=self.numbers(quant.zero_point, "<i8"),
            QuantizedDimension=quant.axis,
        )

    def op(self, op: Op, graph: Graph) -> int:
        union, options = self.options(op)
        custom = op.attrs.options if isinstance(op.attrs, Custom) else b""
        return self.table(
            "Operator",
            OpcodeIndex=self.code_index(op, graph),
            Inputs=self.numbers([-1 if i is None else i for i in op.inputs]),
            Outputs=self.numbers(op.outputs),
            BuiltinOptionsType=union,
            BuiltinOptions=options,
            CustomOptions=self.blob(custom) if custom else None,
            Intermediates=self.numbers(op.intermediates) if op.intermediates else None,
        )

    def code_index(self, op: Op, graph: Graph) -> int:
        """Number of the operator code; operators that share name and version share it."""
        if isinstance(op.attrs, Custom):
            key = (_CUSTOM, op.attrs.code, 1)
        else:
            if isinstance(op.attrs, Opaque) or op.kind not in self.builtins:
                raise UnsupportedOperatorError(f"{op.label}: its options are not known, so that it cannot be written")
            key = (self.builtins[op.kind], "", operator_version(op, graph))
        return self.codes.setdefault(key, len(self.codes))

    def code(self, builtin: int, custom: str, version: int) -> int:
        return self.table(
            "OperatorCode",
            DeprecatedBuiltinCode=min(builtin, _DEPRECATED_LIMIT),
            CustomCode=self.builder.CreateString(custom) if custom else None,
            Version=version,
            BuiltinCode=builtin,
        )

    def options(self, op: Op) -> tuple[int, int | None]:
        """The options union of an operator: type code and table."""
        name = op.attrs.OPTIONS
        if not name or isinstance(op.attrs, Custom | Opaque):
            return 0, None
        fields = {}
        for stored in dataclasses.fields(op.attrs):
            value = getattr(op.attrs, stored.name)
            if stored.metadata != OURS:
                fields[accessor(stored.name)] = self.option(value)
            elif value != stored.default:
                raise InternalError(f"{op.attrs.OP}: {stored.name} cannot be written to a file")
        return self.unions[name], self.table(name, **fields)

    def option(self, value: Any) -> Any:
        """An attribute's value as the generated builder takes it; None for what is left out."""
        if isinstance(value, DType):
            return code_of(value)
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, tuple):
            return self.numbers(value) if value else None
        if isinstance(value, str):
            return self.builder.CreateString(value) if value else None
        return value

    def signature(self, signature: SignatureDef) -> int:
        create: Callable[[str], int] = self.builder.CreateString

        def maps(pairs: Sequence[tuple[str, int]]) -> int:
            return self.offsets([self.table("TensorMap", Name=create(n), TensorIndex=i) for n, i in pairs])

        return self.table(
            "SignatureDef",
            Inputs=maps(signature.inputs),
            Outputs=maps(signature.outputs),
            SignatureKey=create(signature.name),
            SubgraphIndex=signature.graph,
        )


def _settled(tensor: Tensor) -> Tensor:
    """An input whose open batch dimension was given a size other than 1: the file then says that size."""
    if tensor.signature is None or tensor.signature[:1] != (-1,) or tensor.shape[0] == 1:
        return tensor
    signature = (tensor.shape[0], *tensor.signature[1:])
    return dataclasses.replace(tensor, signature=signature if -1 in signature else None)
