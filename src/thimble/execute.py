# SPDX-License-Identifier: Apache-2.0
"""Run a model in NumPy by its operators' references: slow, plain, and what compiled code is held against."""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble.errors import OptionError, UnsupportedOperatorError
from thimble.ir import Attrs, DType, Graph, Kind, Model, Tensor
from thimble.ops import legacy
from thimble.ops.numerics import Array, Call


class Executor:
    """A model with its state. Variables keep their values from one `run` to the next until `reset`."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state: dict[Any, Array] = {}

    def reset(self) -> None:
        """Forget all variables."""
        self.state.clear()

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Outputs of the main graph for its inputs.

        Raises:
            OptionError: an input of the wrong number, shape or type.
            UnsupportedOperatorError: an operator without a reference.
        """
        graph = self.model.main
        if len(inputs) != len(graph.inputs):
            raise OptionError(f"the model has {len(graph.inputs)} inputs, {len(inputs)} were given")
        for index, array in zip(graph.inputs, inputs, strict=True):
            tensor = graph.tensors[index]
            if array.shape != tensor.shape or array.dtype != np.dtype(tensor.dtype.label):
                wanted = f"{tensor.dtype.label}{list(tensor.shape)}"
                raise OptionError(f"input '{tensor.name}' is {wanted}, not {array.dtype}{list(array.shape)}")
        return self._graph(0, inputs)

    def _graph(self, index: int, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        graph = self.model.graphs[index]
        values: dict[int, Array] = {t.id: constant(t) for t in graph.tensors if t.kind is Kind.CONSTANT}
        for tensor in graph.tensors:
            if tensor.kind is Kind.VARIABLE:
                values[tensor.id] = self.state.setdefault((index, tensor.id), initial(tensor))
        values.update(zip(graph.inputs, inputs, strict=True))
        for op in graph.ops:
            if type(op.attrs).reference is Attrs.reference:
                raise UnsupportedOperatorError(f"{op.label}: there is no reference for it")
            operands = tuple(None if i is None else values.get(i) for i in op.inputs)
            call = Call(operands, graph.operands(op), graph.results(op), self.state, self._graph)
            results = legacy.reference(op.attrs, call)
            values.update(zip(op.outputs, results, strict=True))
        self._keep(graph, index, values)
        return tuple(values[i] for i in graph.outputs)

    def _keep(self, graph: Graph, index: int, values: dict[int, Array]) -> None:
        for tensor in graph.tensors:
            if tensor.kind is Kind.VARIABLE:
                self.state[index, tensor.id] = values[tensor.id]


def constant(tensor: Tensor) -> Array:
    """A constant's array; packed 4-bit values are unpacked to int8, the low half of a byte first."""
    data = tensor.data or b""
    if tensor.dtype is DType.INT4:
        packed = np.frombuffer(data, np.int8)
        pairs = np.stack([np.left_shift(packed, 4) >> 4, packed >> 4], axis=-1)
        return pairs.reshape(-1)[: tensor.elements].reshape(tensor.shape)
    return np.frombuffer(data[: tensor.nbytes], np.dtype(tensor.dtype.label).newbyteorder("<")).reshape(tensor.shape)


def initial(tensor: Tensor) -> Array:
    """What a variable holds before the first inference: its data if it has any, else the zero point (int8) or 0."""
    if tensor.data is not None:
        return np.array(constant(tensor))
    zero = tensor.quant.zero_point[0] if tensor.quant is not None else 0
    return np.full(tensor.shape, zero if tensor.dtype is DType.INT8 else 0, tensor.dtype.label)
