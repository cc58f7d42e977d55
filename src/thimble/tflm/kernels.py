# SPDX-License-Identifier: Apache-2.0
"""What a kernel asks of TFLM's arena, and the operator as its Init and Prepare see it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from thimble.errors import ThimbleError
from thimble.ir import DType, Kind, Op, Opaque, Quant, Shape, Tensor
from thimble.target import Target
from thimble.tflm.structs import struct_size


class UnpredictableError(ThimbleError):
    """A kernel whose requests cannot be told; caught in `allocation`, which goes on without them."""


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes that a kernel requests: persistent in Init and in Prepare, scratch in Prepare, each in order."""

    init: tuple[int, ...] = ()
    prepare: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """An operator with its tensors, on a target. The accessors raise `UnpredictableError` for what is not there."""

    op: Op
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    target: Target

    def sizeof(self, struct: str) -> int:
        return struct_size(struct, self.target)

    def optional(self, index: int) -> Tensor | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def input(self, index: int = 0) -> Tensor:
        tensor = self.optional(index)
        if tensor is None:
            raise UnpredictableError(f"input {index} is missing")
        return tensor

    def output(self, index: int = 0) -> Tensor:
        if index >= len(self.outputs):
            raise UnpredictableError(f"output {index} is missing")
        return self.outputs[index]

    def shape(self, tensor: Tensor, rank: int) -> Shape:
        """The tensor's shape, which must have `rank` dimensions or more."""
        if len(tensor.shape) < rank:
            raise UnpredictableError(f"'{tensor.name}' has {len(tensor.shape)} dimensions, {rank} are needed")
        return tensor.shape

    def attr(self, name: str) -> Any:
        """An attribute under its name in the schema."""
        if isinstance(self.op.attrs, Opaque) or not hasattr(self.op.attrs, name):
            raise UnpredictableError(f"its attribute {name} is not known")
        return getattr(self.op.attrs, name)


def is_constant(tensor: Tensor | None) -> bool:
    """Whether the tensor's bytes are in the model."""
    return tensor is not None and tensor.kind is Kind.CONSTANT


def channels(quant: Quant | None) -> int:
    """Number of scales; 0 without quantization."""
    return 0 if quant is None else len(quant.scale)


def is_quantized(tensor: Tensor) -> bool:
    """Whether TFLM runs its integer kernels on the tensor."""
    return tensor.dtype in (DType.INT8, DType.INT16)


def dims_bytes(rank: int, target: Target) -> int:
    """Bytes of a TfLiteIntArray: the count and the values."""
    return target.int_bytes * (1 + rank)


def flat(shape: Shape) -> int:
    """Number of elements."""
    return math.prod(shape)
