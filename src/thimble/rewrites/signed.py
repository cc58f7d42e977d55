# SPDX-License-Identifier: Apache-2.0
"""Legacy uint8 graphs become int8, since kernels are for int8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.ir import DType, Graph, Kind, Op, OpId, Tensor, TensorId
from thimble.ops.legacy import to_signed
from thimble.ops.quantize import Quantize
from thimble.rewrites.compacted import compacted

_COMPUTING = (
    "ADD", "ARG_MAX", "ARG_MIN", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED", "HARD_SWISH", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PAD", "PADV2", "RESIZE_BILINEAR",
    "SOFTMAX", "SUB", "TANH", "TFLite_Detection_PostProcess",
)  # fmt: skip
"""Operators that become int8: what they compute then is proven to be what LiteRT computes on uint8."""

_MOVING = (
    "DEQUANTIZE", "EXPAND_DIMS", "GATHER", "PACK", "QUANTIZE", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2",
    "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
)  # fmt: skip
"""Operators that do the same on both, and so become int8 beside others only. All that are not named stay uint8."""


def signed(graph: Graph) -> Graph:
    """Replace quantized uint8 tensors, where operators compute on them, by int8 with zero points 128 lower.

    Graph inputs and outputs stay uint8, as do operands of CAST and custom operators; QUANTIZE converts between the
    two, which changes the top bit of every byte.

    Precondition: none; a graph without operators that need it stays as it is.
    Memory: one more tensor per input and output, which may share the other's bytes.
    Numbers: bit-exact with LiteRT's reference kernels for uint8, which `Quant.legacy` asks for. TFLM has none.
    """
    legacy = {t.id for t in graph.tensors if t.dtype is DType.UINT8 and t.quant is not None}
    changed = {op.id for op in graph.ops if _computes(op, legacy)}
    if not any(graph.ops[i].kind in _COMPUTING for i in changed):
        return graph
    forms = _Forms(graph, legacy, changed)
    for op in graph.ops:
        forms.add(op)
    outputs = tuple(forms.form(i, False, graph.ops[-1]) for i in graph.outputs)
    return compacted(graph, forms.tensors, forms.ops, outputs)


def _computes(op: Op, legacy: set[TensorId]) -> bool:
    return op.kind in (*_COMPUTING, *_MOVING) and any(i in legacy for i in (*op.inputs, *op.outputs))


class _Forms:
    """The graph that is being made: every legacy tensor in the form that its writer makes, and in the other on demand.

    Constants and variables are int8 if an operator computes on them.
    """

    def __init__(self, graph: Graph, legacy: set[TensorId], changed: set[OpId]) -> None:
        self.tensors = list(graph.tensors)
        self.ops: list[Op] = []
        self._changed = changed
        touched = {i for op in graph.ops if op.id in changed for i in (*op.inputs, *op.outputs)}
        made = {i for op in graph.ops if op.id in changed for i in op.outputs}
        stored = (Kind.CONSTANT, Kind.VARIABLE)
        self._signed = {i: i in (touched if graph.tensors[i].kind in stored else made) for i in legacy}
        self._twins: dict[TensorId, TensorId] = {}
        self._original = graph.tensors
        for index in legacy:
            if self._signed[index]:
                self.tensors[index] = to_signed(graph.tensors[index])

    def add(self, op: Op) -> None:
        """Append an operator on operands of the form that it computes on."""
        wants = op.id in self._changed
        inputs = tuple(None if i is None else self.form(i, wants, op) for i in op.inputs)
        self.ops.append(replace(op, inputs=inputs))

    def form(self, index: TensorId, signed: bool, reader: Op) -> TensorId:
        """The tensor as int8 or as in the file; a conversion for this reader is appended if there is none yet."""
        if self._signed.get(index, signed) == signed:
            return index
        if index not in self._twins:
            self._twins[index] = self._converted(index, signed, reader)
        return self._twins[index]

    def _converted(self, index: TensorId, signed: bool, reader: Op) -> TensorId:
        old, new = self._original[index], TensorId(len(self.tensors))
        form: Callable[[Tensor], Tensor] = to_signed if signed else _same
        name = f"{old.name}_{'int8' if signed else 'uint8'}"
        if old.kind is Kind.CONSTANT:
            self.tensors.append(replace(form(old), id=new, name=name))
            return new
        self.tensors.append(replace(form(old), id=new, name=name, kind=Kind.ACTIVATION, data=None))
        self.ops.append(Op(OpId(len(self.ops)), name, Quantize(), (index,), (new,), reader.source))
        return new


def _same(tensor: Tensor) -> Tensor:
    return tensor
