# SPDX-License-Identifier: Apache-2.0
"""What operators are lowered to: calls of C kernels on parts of tensors, still without addresses.

An operator becomes one call or several (a concatenation copies once per operand), or none. A call is everything that
the emitter prints: the C function `thimble_<kernel>` of `kernels/<header>.h` is called as

    thimble_<kernel>(&parameters, reads..., constants..., writes..., scratch, first_row, end_row)

where the parameters are a constant struct, scratch is there if `scratch` is not 0, and the rows if `rows` is not 0.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field

from thimble.errors import UnsupportedOperatorError
from thimble.ir import DType, Shape, Tensor, TensorId

Fields = tuple[tuple[str, "int | float | tuple[int, ...] | Fields"], ...]
"""Members of a C struct by name; a member may be a number, an array of integers, or a struct."""


C_TYPES = {
    DType.FLOAT32: "float",
    DType.FLOAT64: "double",
    DType.INT8: "int8_t",
    DType.INT16: "int16_t",
    DType.INT32: "int32_t",
    DType.INT64: "int64_t",
    DType.UINT8: "uint8_t",
    DType.UINT16: "uint16_t",
    DType.UINT32: "uint32_t",
    DType.UINT64: "uint64_t",
    DType.BOOL: "uint8_t",
    DType.FLOAT16: "uint16_t",
    DType.INT4: "uint8_t",
}
"""What C calls the element types."""

TAKE_ROW, GIVE_ROW = "take_row", "give_row"
"""In place of a kernel: the application writes a row of an input, or reads one of an output (`ops/handover.py`)."""


class Flavour(enum.Enum):
    """Which instructions the kernels may use. Every flavour is plain C elsewhere: the same bundle runs on the host."""

    PORTABLE = "portable"  # C11
    DSP = "dsp"  # packed arithmetic of Armv7E-M and Armv8-M
    MVE = "mve"  # Helium
    CMSIS_NN = "cmsis-nn"  # calls into the user's own CMSIS-NN, portable C for what it lacks
    CMSIS_NN_MVE = "cmsis-nn-mve"  # the same with the work space that CMSIS-NN needs on cores with Helium

    @property
    def calls_cmsis_nn(self) -> bool:
        return self in (Flavour.CMSIS_NN, Flavour.CMSIS_NN_MVE)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which kernels an operator gets: of a flavour, and with at most so many bytes of work space (None: any number)."""

    flavour: Flavour
    work_space: int | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A constant array in flash, packed as the kernel wants it, little-endian; `name` says what it is."""

    name: str
    dtype: DType
    data: bytes = field(repr=False)

    @property
    def elements(self) -> int:
        return len(self.data) * 8 // self.dtype.bits


@dataclass(frozen=True, slots=True)
class View:
    """The part of a tensor that a call touches: elements at `offset + index . strides`, in bytes.

    Without a shape it is the whole tensor.
    """

    tensor: Tensor
    offset: int = 0
    shape: Shape | None = None
    strides: tuple[int, ...] = ()

    @property
    def itemsize(self) -> int:
        return max(1, self.tensor.dtype.bits // 8)

    @property
    def nbytes(self) -> int:
        """Bytes touched, if no element is touched twice."""
        return self.tensor.nbytes if self.shape is None else math.prod(self.shape) * self.itemsize


@dataclass(frozen=True, slots=True)
class Slice:
    """Where the bytes of a tensor are that is a part of another, `root`: runs from byte `offset` on, `pitch` apart."""

    root: TensorId
    offset: int
    run: int
    pitch: int


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One call of a kernel.

    Attributes:
        kernel: the C function without its prefix; `header` is the file that defines it.
        reads, writes: tensors' parts, in the order of the function's arguments. What is read and written is in both.
        constants: arrays in flash.
        struct: the C type of the parameters without its prefix, "" where the kernel has none.
        fields: its members.
        scratch: bytes that the call needs besides, aligned to 8; they hold nothing before and after.
        rows: rows that the call computes, where a kernel can compute a range of them; 0 for other kernels.
        in_place: pairs (read, write) of operands that may be the same bytes.
        accumulates: whether the rows are those of the operand, handed over one after another; the work space then holds
            its values from the first row to the last, with which the result is written.
        scattered: whether rows of the result are written in several passes over the operand, not one after another.
        batch: how often the call is made; the first operand and the first result move on by their part of a batch.
        moves: by how many bytes operands and results move on instead.
        view: whether nothing is to be done, as what is copied is where it belongs already.
    """

    kernel: str
    header: str
    reads: tuple[View, ...]
    writes: tuple[View, ...]
    constants: tuple[Data, ...] = ()
    struct: str = ""
    fields: Fields = ()
    scratch: int = 0
    rows: int = 0
    in_place: tuple[tuple[int, int], ...] = ()
    batch: int = 1
    scattered: bool = False
    accumulates: bool = False
    moves: tuple[int, ...] = ()
    view: bool = False

    @property
    def hands_over(self) -> bool:
        """Whether the application does what is to be done."""
        return self.kernel in (TAKE_ROW, GIVE_ROW)


@dataclass(frozen=True, slots=True)
class Site:
    """An operator to be lowered: its operands and results, and the kernels that are wanted.

    Kernels that need more than `work_space` bytes give way to slower ones of the same flavour, or to portable ones.
    `by_row` asks for kernels that take a row at a time.
    """

    label: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    flavour: Flavour = Flavour.PORTABLE
    work_space: int | None = None
    by_row: bool = False

    def allows(self, work_space: int) -> bool:
        """Whether a kernel with so many bytes of work space may be used."""
        return self.work_space is None or work_space <= self.work_space

    def tensor(self, index: int) -> Tensor:
        """An operand that must be there."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise self.unsupported(f"operand {index} is missing")
        return tensor

    def optional(self, index: int) -> Tensor | None:
        """An operand, or None where it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else None

    def constant(self, index: int) -> Tensor:
        """An operand that must be a constant."""
        tensor = self.tensor(index)
        if tensor.data is None:
            raise self.unsupported(f"operand {index} ('{tensor.name}') must be a constant")
        return tensor

    def unsupported(self, what: str) -> UnsupportedOperatorError:
        """The refusal to compile this operator, to be raised."""
        return UnsupportedOperatorError(f"{self.label} cannot be compiled: {what}")

    def types(self) -> tuple[DType | None, ...]:
        """Types of the operands, None for omitted ones."""
        return tuple(None if t is None else t.dtype for t in self.inputs)


def whole(*tensors: Tensor) -> tuple[View, ...]:
    """Views of whole tensors."""
    return tuple(View(tensor) for tensor in tensors)


def dense_strides(shape: Shape, itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of an array in one piece, last axis fastest."""
    strides = []
    for size in reversed(shape):
        strides.append(itemsize)
        itemsize *= size
    return tuple(reversed(strides))


__all__ = [
    "C_TYPES",
    "GIVE_ROW",
    "TAKE_ROW",
    "Choice",
    "Data",
    "Fields",
    "Flavour",
    "KernelCall",
    "Site",
    "Slice",
    "View",
    "dense_strides",
    "whole",
]
