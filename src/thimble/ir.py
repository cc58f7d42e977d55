# SPDX-License-Identifier: Apache-2.0
"""The graph IR: operators on tensors, values without addresses. All of it is in this file.

Everything is frozen and hashable, so passes are plain functions from value to value and "nothing
changed" can be tested with `is`. Operator attributes are one dataclass per operator, in `ops/`.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NewType

import numpy.typing as npt

from thimble.errors import ShapeError

if TYPE_CHECKING:
    from thimble.kernel import KernelCall, Site

Array = npt.NDArray[Any]

TensorId = NewType("TensorId", int)
OpId = NewType("OpId", int)
Shape = tuple[int, ...]
Rows = tuple[tuple[int, int], ...]
"""Per row of an output the rows (first, end) of an operand."""


class DType(enum.Enum):
    """Element type; the value is (name, bits). Names follow NumPy, codes follow the TFLite schema."""

    FLOAT32 = ("float32", 32)
    FLOAT16 = ("float16", 16)
    FLOAT64 = ("float64", 64)
    BFLOAT16 = ("bfloat16", 16)
    INT4 = ("int4", 4)
    INT8 = ("int8", 8)
    INT16 = ("int16", 16)
    INT32 = ("int32", 32)
    INT64 = ("int64", 64)
    UINT8 = ("uint8", 8)
    UINT16 = ("uint16", 16)
    UINT32 = ("uint32", 32)
    UINT64 = ("uint64", 64)
    BOOL = ("bool", 8)
    COMPLEX64 = ("complex64", 64)
    COMPLEX128 = ("complex128", 128)
    STRING = ("string", 0)
    RESOURCE = ("resource", 0)  # a handle, kept by the runtime and not in the arena
    VARIANT = ("variant", 0)

    @property
    def label(self) -> str:
        return self.value[0]

    @property
    def bits(self) -> int:
        return self.value[1]


class Kind(enum.Enum):
    """Where a tensor's bytes come from."""

    INPUT = "input"  # the caller fills it before each inference
    CONSTANT = "constant"  # stored in the model; lives in flash
    VARIABLE = "variable"  # keeps its value from one inference to the next
    ACTIVATION = "activation"  # an operator writes it
    SCRATCH = "scratch"  # nobody writes it: work space that a custom operator names among its inputs
    OUTSIDE = "outside"  # the application hands it over, or takes it, row by row; it never is in the arena


class Activation(enum.Enum):
    """Fused activation of an operator; values follow the schema's ActivationFunctionType."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4
    SIGN_BIT = 5


class Padding(enum.Enum):
    """Values follow the schema's Padding."""

    SAME = 0
    VALID = 1


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine quantization: real = scale * (q - zero_point), along `axis` when there are several scales.

    `legacy` marks int8 that is uint8 in the file, 128 higher: operators round as LiteRT's kernels for uint8 do.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0
    legacy: bool = False

    @property
    def per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """One value of the graph. `shape` is fully known; `data` is set for constants only.

    `signature` is the file's shape with -1 where a dimension is dynamic, or None when all are fixed.
    `buffer` identifies the constant's storage: tensors that share it are stored once.
    """

    id: TensorId
    name: str
    shape: Shape
    dtype: DType
    quant: Quant | None = None
    kind: Kind = Kind.ACTIVATION
    data: bytes | None = field(default=None, repr=False)
    signature: Shape | None = None
    buffer: int = 0

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in memory; elements of less than a byte are packed, the last byte filled up."""
        return (self.elements * self.dtype.bits + 7) // 8

    @property
    def in_arena(self) -> bool:
        """Whether the tensor takes activation memory while it lives."""
        return self.kind in (Kind.INPUT, Kind.ACTIVATION, Kind.SCRATCH) and self.nbytes > 0


@dataclass(frozen=True, slots=True)
class Call:
    """One execution of an operator by its NumPy reference.

    `values[i]` is the array of operand i (None if omitted), of the shape and type of `inputs[i]`; `outputs` are the
    tensors to be produced. `state` keeps variables between operators and inferences, by tensor id or resource
    name; `run` executes another graph of the model on arrays.
    """

    values: tuple[Array | None, ...]
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    state: dict[Any, Array] = field(default_factory=dict)
    run: Callable[[int, tuple[Array, ...]], tuple[Array, ...]] | None = None

    def value(self, index: int) -> Array:
        """The array of an operand that must be there."""
        array = self.values[index]
        assert array is not None
        return array

    def tensor(self, index: int) -> Tensor:
        """The tensor of an operand that must be there."""
        tensor = self.inputs[index]
        assert tensor is not None
        return tensor


@dataclass(frozen=True, slots=True)
class Sliding:
    """A window on an image; pairs are (rows, columns), margins the cells outside (top, left)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]


OURS: Mapping[str, bool] = MappingProxyType({"ours": True})
"""Metadata of attributes that the TFLite schema does not have; they come last, and have defaults."""


@dataclass(frozen=True, slots=True)
class Attrs:
    """Base of every operator's attributes; subclasses live one per file in `ops/`.

    A field is named as in the TFLite schema (snake case), so that one reader and one writer serve all
    operators; those with the metadata `OURS` are in no file. `OPTIONS` names the schema's options table, or is empty
    where the operator has none.
    """

    OP: ClassVar[str] = ""
    OPTIONS: ClassVar[str] = ""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        """Shapes of the outputs, or None where they depend on values that only exist at run time.

        Raises:
            ShapeError: the operands do not go together.
        """
        raise NotImplementedError(self.OP)

    def values(self, inputs: tuple[Tensor | None, ...]) -> tuple[int, ...] | None:
        """Elements of an integer result that follow from shapes and constants alone; None for all others.

        For the arithmetic by which models compute the operands of RESHAPE and the like.
        """
        return None

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        """Multiply-accumulates of one execution; 0 for operators that do not multiply and add."""
        return 0

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The operator's results in NumPy, bit for bit what TFLM's reference kernel returns.

        For each of `call.outputs` an array of its shape and type. Slow and plain: this is what compiled code is
        held against.
        """
        raise NotImplementedError(self.OP)

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        """Which rows of each operand a row of the output `[1,H,W,C]` is computed from; None if that is not known.

        Per operand one range (first, end) per output row, or None for an operand that is needed whole.
        """
        return None

    def sliding(self, inputs: tuple[Tensor | None, ...]) -> Sliding | None:
        """How a window moves over operand 0 `[N,H,W,C]`, for operators that compute their result from windows only."""
        return None

    def accumulates(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> bool:
        """Whether the only row of the output can be computed from rows that are handed over one after another."""
        return False

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """The kernel calls that compute the operator's results; none where nothing is to be done.

        Raises:
            UnsupportedOperatorError: the operator, or these types of operands, cannot be compiled.
        """
        raise site.unsupported("there are no kernels for this operator")

    def subgraphs(self) -> tuple[int, ...]:
        """Indices of the graphs that a control-flow operator runs."""
        return ()


@dataclass(frozen=True, slots=True)
class Custom(Attrs):
    """A custom operator, kept opaque: its tensors' sizes are known, what it computes is not."""

    OP: ClassVar[str] = "CUSTOM"
    code: str = ""
    options: bytes = field(default=b"", repr=False)

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None


@dataclass(frozen=True, slots=True)
class Opaque(Attrs):
    """A builtin operator that Thimble has no file for: it can be mapped and packed, not compiled."""

    OP: ClassVar[str] = "OPAQUE"
    builtin: str = ""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None


@dataclass(frozen=True, slots=True)
class Source:
    """Where an operator came from, for messages: file, graph and index in the file's order."""

    file: str
    graph: str
    index: int


@dataclass(frozen=True, slots=True)
class Op:
    """One operator. An omitted optional input is None; `intermediates` are the schema's."""

    id: OpId
    name: str
    attrs: Attrs
    inputs: tuple[TensorId | None, ...]
    outputs: tuple[TensorId, ...]
    source: Source
    intermediates: tuple[TensorId, ...] = ()

    @property
    def kind(self) -> str:
        """The TFLite operator name; a custom operator answers with its custom code."""
        if isinstance(self.attrs, Custom):
            return self.attrs.code
        return self.attrs.builtin if isinstance(self.attrs, Opaque) else self.attrs.OP

    @property
    def label(self) -> str:
        """How messages name the operator."""
        return f"{self.kind} '{short_name(self.name)}' (operator {self.source.index} of {self.source.file})"


@dataclass(frozen=True, slots=True)
class Graph:
    """Operators on tensors. `tensors[i].id == i` and `ops[i].id == i`; `ops` is the file's order."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[TensorId, ...]
    outputs: tuple[TensorId, ...]

    def __hash__(self) -> int:
        """Cheap, so that what is known of a graph can be looked up by it."""
        return hash((self.name, len(self.tensors), len(self.ops), self.inputs, self.outputs))

    def operands(self, op: Op) -> tuple[Tensor | None, ...]:
        return tuple(None if i is None else self.tensors[i] for i in op.inputs)

    def results(self, op: Op) -> tuple[Tensor, ...]:
        return tuple(self.tensors[i] for i in op.outputs)

    @property
    def given(self) -> tuple[TensorId, ...]:
        """Tensors that are there before the first operator runs: the inputs, and work space that nobody writes."""
        return (*self.inputs, *(t.id for t in self.tensors if t.kind is Kind.SCRATCH))

    def macs(self) -> int:
        return sum(op.attrs.macs(self.operands(op), self.results(op)) for op in self.ops)

    def constant_bytes(self) -> int:
        """Bytes of constants, shared storage counted once."""
        return sum({t.buffer: t.nbytes for t in self.tensors if t.kind is Kind.CONSTANT}.values())


@dataclass(frozen=True, slots=True)
class SignatureDef:
    """A named entry point of a model: graph index and (name, tensor) pairs."""

    name: str
    graph: int
    inputs: tuple[tuple[str, TensorId], ...]
    outputs: tuple[tuple[str, TensorId], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """One file: its graphs (the first is the one that runs), and what the importer has to say."""

    name: str
    file: str
    format: str
    size_bytes: int
    graphs: tuple[Graph, ...]
    signatures: tuple[SignatureDef, ...] = ()
    metadata: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    notices: tuple[str, ...] = ()

    @property
    def main(self) -> Graph:
        return self.graphs[0]

    def macs(self) -> int:
        return self.main.macs()


def short_name(name: str, width: int = 60) -> str:
    """A tensor's name as people read it: converters join the names of all fused layers with semicolons."""
    first = "".join(c if c.isprintable() else "?" for c in name.partition(";")[0])
    return first if len(first) <= width else f"{first[: width // 2 - 1]}…{first[-width // 2 :]}"


def require(condition: bool, what: str) -> None:
    """Raise `ShapeError(what)` unless the condition holds; for the shape rules."""
    if not condition:
        raise ShapeError(what)
