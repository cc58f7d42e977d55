# SPDX-License-Identifier: Apache-2.0
"""Operators whose results follow at compile time become constants; what nothing depends on is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.execute import constant
from thimble.ir import Array, Attrs, Call, DType, Graph, Kind, Op, Tensor, TensorId
from thimble.rewrites.compacted import compacted, next_buffer

_NO_ARRAY = (DType.INT4, DType.STRING, DType.RESOURCE, DType.VARIANT)


def fold_constants(graph: Graph) -> Graph:
    """Compute what depends on constants and known shapes only, and keep what the outputs or a state need.

    Precondition: operands are written before they are read, as everywhere.
    Memory: the results leave the arena for flash. Flash grows by their sizes and shrinks by that of the operands that
    are needed no more: a constant of float16 that DEQUANTIZE widens takes twice its bytes, one that FILL or TILE
    makes takes all of its own.
    Numbers: bit-exact, since the operators' references compute the constants.
    """
    tensors = list(graph.tensors)
    left: list[Op] = []
    for op in graph.ops:
        results = _results(op, tensors)
        if results is None:
            left.append(op)
            continue
        for index, array in zip(op.outputs, results, strict=True):
            tensors[index] = _fixed(tensors, index, array)
    kept = _needed(graph, tensors, left)
    return graph if len(kept) == len(graph.ops) else compacted(graph, tensors, kept)


def _results(op: Op, tensors: Sequence[Tensor]) -> tuple[Array, ...] | None:
    """The operator's results, if they follow from what is known."""
    results = tuple(tensors[i] for i in op.outputs)
    operands = tuple(None if i is None else tensors[i] for i in op.inputs)
    if not results or op.attrs.subgraphs() or any(t.kind is Kind.VARIABLE or t.dtype in _NO_ARRAY for t in results):
        return None
    values = op.attrs.values(operands) if len(results) == 1 else None
    if values is not None:
        return (np.array(values, results[0].dtype.label).reshape(results[0].shape),)
    present = [t for t in operands if t is not None]
    if not present or any(t.kind is not Kind.CONSTANT for t in present):
        return None
    return _executed(op.attrs, operands, results)


def _executed(
    attrs: Attrs, operands: tuple[Tensor | None, ...], results: tuple[Tensor, ...]
) -> tuple[Array, ...] | None:
    if type(attrs).reference is Attrs.reference:
        return None
    arrays = tuple(None if t is None else constant(t) for t in operands)
    try:
        return attrs.reference(Call(arrays, operands, results))
    except UnsupportedOperatorError:
        return None  # the lowering says what is missing


def _fixed(tensors: Sequence[Tensor], index: TensorId, array: Array) -> Tensor:
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return replace(tensors[index], kind=Kind.CONSTANT, data=data, buffer=next_buffer(tensors))


def _needed(graph: Graph, tensors: Sequence[Tensor], ops: Sequence[Op]) -> list[Op]:
    """Operators that lead to an output or change what outlives the inference."""
    wanted = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(ops):
        if _acts(op, tensors) or wanted.intersection(op.outputs):
            kept.append(op)
            wanted.update(i for i in op.inputs if i is not None)
    return kept[::-1]


def _acts(op: Op, tensors: Sequence[Tensor]) -> bool:
    """Whether running the operator may matter beyond its results."""
    touched = [tensors[i] for i in (*op.inputs, *op.outputs) if i is not None]
    state = any(t.kind is Kind.VARIABLE or t.dtype is DType.RESOURCE for t in touched)
    return state or not op.outputs or bool(op.attrs.subgraphs())
