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


class Unpredictable(ThimbleError):
    """A kernel whose requests are not known, or an operator that TFLM's kernel refuses; caught in `allocation`."""


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes that a kernel requests: persistent in Init and in Prepare, scratch in Prepare, each in order."""

    init: tuple[int, ...] = ()
    prepare: tuple[int, ...] = ()
    scratch: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """An operator with its tensors, on a target. The accessors raise `Unpredictable` for what is not there."""

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
            raise Unpredictable(f"input {index} is missing")
        return tensor

    def output(self, index: int = 0) -> Tensor:
        if index >= len(self.outputs):
            raise Unpredictable(f"output {index} is missing")
        return self.outputs[index]

    def shape(self, tensor: Tensor, rank: int) -> Shape:
        """The tensor's shape, which must have `rank` dimensions or more."""
        if len(tensor.shape) < rank:
            raise Unpredictable(f"'{tensor.name}' has {len(tensor.shape)} dimensions, {rank} are needed")
        return tensor.shape

    def attr(self, name: str) -> Any:
        """An attribute under its name in the schema."""
        if isinstance(self.op.attrs, Opaque) or not hasattr(self.op.attrs, name):
            raise Unpredictable(f"its attribute {name} is not known")
        return getattr(self.op.attrs, name)


def is_constant(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.kind is Kind.CONSTANT


def channels(quant: Quant | None) -> int:
    """Number of scales; 0 without quantization."""
    return 0 if quant is None else len(quant.scale)


def is_quantized(tensor: Tensor) -> bool:
    return tensor.dtype in (DType.INT8, DType.INT16)


def dims_bytes(rank: int, target: Target) -> int:
    """Bytes of a TfLiteIntArray: the count and the values."""
    return target.int_bytes * (1 + rank)


def flat(shape: Shape) -> int:
    return math.prod(shape)


def refuse_hybrid(node: Node, data: Tensor, weights: Tensor, *, int4: bool = True) -> None:
    """Raise for the pairs of element types that TFLM's convolutions and fully connected layers refuse."""
    narrow = (DType.INT8, DType.INT4) if int4 else (DType.INT8,)
    allowed = {DType.FLOAT32: (DType.FLOAT32,), DType.INT8: narrow, DType.INT16: (DType.INT8,)}
    if weights.dtype not in allowed.get(data.dtype, ()):
        raise Unpredictable(f"TFLM has no kernel for {data.dtype.label} data with {weights.dtype.label} weights")
    if node.output().dtype is not data.dtype:
        raise Unpredictable(f"TFLM has no kernel from {data.dtype.label} to {node.output().dtype.label}")
