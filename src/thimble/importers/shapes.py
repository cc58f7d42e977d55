# SPDX-License-Identifier: Apache-2.0
"""Shape rules against the file's shapes, and dynamic dimensions made definite."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from thimble.errors import ModelError, ShapeError
from thimble.ir import DType, Graph, Kind, Op, Shape, Tensor, TensorId
from thimble.ops.split import Split
from thimble.ops.unpack import Unpack

_LARGEST_TENSOR = 1 << 40  # bytes; a larger one is a damaged file, and sums stay far from 2**63
_MOST_DIMENSIONS = 64  # as many as NumPy allows
_MOST_KNOWN = 64  # elements; shape arithmetic is on vectors of a few


def settle(graph: Graph, batch: int | None = None) -> tuple[Graph, tuple[str, ...]]:
    """Give every tensor its definite shape, operator by operator.

    A tensor whose signature is fixed must have as many elements as the operators' rules give. One with a dynamic
    dimension takes the rule's shape, because the file then holds only a placeholder.

    Args:
        graph: as the file has it, -1 read as 1.
        batch: size of the inputs' dynamic batch dimension; None takes 1.

    Returns:
        The graph (the same object where nothing changes), and notices for the user.

    Raises:
        ModelError: operands that do not go together, a result that differs from the file's, or `batch` given
            for a model whose batch dimension is fixed.
    """
    dynamic = [graph.tensors[i] for i in graph.inputs if (graph.tensors[i].signature or (0,))[0] == -1]
    if not dynamic and batch not in (None, 1):
        raise ModelError(f"the batch dimension is fixed in this model; --batch {batch} cannot change it")
    tensors = list(graph.tensors)
    for tensor in dynamic:
        tensors[tensor.id] = sized(dataclasses.replace(tensor, shape=(batch or 1, *tensor.shape[1:])))
    known: dict[TensorId, Tensor] = {}  # integer results that follow from shapes alone, with their data
    for op in graph.ops:
        operands = tuple(None if i is None else known.get(i, tensors[i]) for i in op.inputs)
        shapes = _inferred(op, operands)
        if shapes is None:
            shapes = tuple(_guess(tensors[i], batch) for i in op.outputs)
        if len(shapes) != len(op.outputs):
            raise ModelError(f"{op.label}: has {len(op.outputs)} outputs, expected {len(shapes)}")
        for index, shape in zip(op.outputs, shapes, strict=True):
            tensors[index] = _settled(op, tensors[index], shape)
        known |= _evaluated(op, operands, tensors)
    return _result(graph, tuple(tensors), dynamic, batch)


def sized(tensor: Tensor) -> Tensor:
    """The same tensor.

    Raises:
        ModelError: it has too many dimensions or elements to be meant.
    """
    rank = len(tensor.shape)
    if rank > _MOST_DIMENSIONS:
        raise ModelError(f"tensor '{tensor.name}' has {rank} dimensions, {_MOST_DIMENSIONS} are the most allowed")
    if tensor.elements * max(1, tensor.dtype.bits) > _LARGEST_TENSOR * 8:
        raise ModelError(f"tensor '{tensor.name}' of shape {list(tensor.shape)} is absurdly large; the file is damaged")
    return tensor


def _inferred(op: Op, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
    # These rules answer with as many shapes as the attributes say, which can be billions in a damaged file.
    if isinstance(op.attrs, Split | Unpack):
        promised = op.attrs.num_splits if isinstance(op.attrs, Split) else op.attrs.num
        if promised != len(op.outputs):
            raise ModelError(f"{op.label}: has {len(op.outputs)} outputs, the attributes say {promised}")
    try:
        return op.attrs.output_shapes(inputs)
    except ShapeError as error:
        raise ModelError(f"{op.label}: {error}") from None


def _evaluated(op: Op, operands: tuple[Tensor | None, ...], tensors: list[Tensor]) -> dict[TensorId, Tensor]:
    """The operator's result with its elements as data, where they follow from shapes and constants."""
    result = tensors[op.outputs[0]] if len(op.outputs) == 1 else None
    if result is None or result.dtype not in (DType.INT32, DType.INT64) or result.elements > _MOST_KNOWN:
        return {}
    values = op.attrs.values(operands)
    if values is None or len(values) != result.elements:
        return {}
    limits = np.iinfo(result.dtype.label)
    if any(not limits.min <= value <= limits.max for value in values):
        return {}
    return {result.id: dataclasses.replace(result, data=np.array(values, result.dtype.label).tobytes())}


def _guess(tensor: Tensor, batch: int | None) -> Shape:
    """The shape of a result that no rule gives: the file's, with the batch in front where that is open."""
    if batch is None or tensor.signature is None or tensor.signature[:1] != (-1,):
        return tensor.shape
    return (batch, *tensor.shape[1:])


def _settled(op: Op, tensor: Tensor, shape: Shape) -> Tensor:
    if shape == tensor.shape or tensor.kind is Kind.VARIABLE:
        return tensor
    if tensor.signature is None and math.prod(shape) == tensor.elements:
        return tensor  # converters write a vector of one for a scalar, or drop leading ones: the same bytes
    if tensor.signature is None:
        raise ModelError(
            f"{op.label}: the file gives '{tensor.name}' the shape {list(tensor.shape)}, "
            f"its operands make it {list(shape)}"
        )
    return sized(dataclasses.replace(tensor, shape=shape))


def _result(
    graph: Graph, tensors: tuple[Tensor, ...], dynamic: list[Tensor], batch: int | None
) -> tuple[Graph, tuple[str, ...]]:
    notices = []
    if dynamic and batch is None:
        names = ", ".join(f"'{t.name}'" for t in dynamic)
        notices.append(f"the batch dimension of {names} is dynamic; 1 is assumed (--batch N for another)")
    changed = [t.id for t in graph.tensors if tensors[t.id].shape != t.shape and t.kind is Kind.ACTIVATION]
    if changed and batch in (None, 1):
        notices.append(_placeholder(graph, tensors, changed))
    same = all(new is old for new, old in zip(tensors, graph.tensors, strict=True))
    return (graph if same else dataclasses.replace(graph, tensors=tensors)), tuple(notices)


def _placeholder(graph: Graph, tensors: tuple[Tensor, ...], changed: list[TensorId]) -> str:
    old, new = graph.tensors[changed[0]], tensors[changed[0]]
    return (
        f"{len(changed)} dynamic shapes in the file are placeholders and were computed instead: "
        f"'{old.name}' is {list(new.shape)}, not {list(old.shape)}"
    )
