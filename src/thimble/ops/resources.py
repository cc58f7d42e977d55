# SPDX-License-Identifier: Apache-2.0
"""What the references of resource variables and of control flow share.

A resource handle travels as an array of objects that hold the variable's key in `Call.state`; it needs no table of
its own, so that a handle which crosses from one graph to another stays valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thimble.ir import Shape, Tensor
from thimble.ops.numerics import Array, Call

if TYPE_CHECKING:
    from thimble.ops.var_handle import VarHandle

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Handle:
    """A resource variable's name; not a tuple, which NumPy would take for a row."""

    container: str
    shared_name: str


def handle(container: str, shared_name: str, shape: Shape) -> Array:
    """Array of one handle."""
    return np.full(shape, Handle(container, shared_name), object)


def resource_key(handle: VarHandle) -> Key:
    """The key of the variable that an operator makes a handle of."""
    return "resource", handle.container, handle.shared_name


def key_of(handles: Array) -> Key:
    """Where `Call.state` keeps the variable."""
    found = handles.item()
    assert isinstance(found, Handle)
    return "resource", found.container, found.shared_name


def untouched(tensor: Tensor) -> Array:
    """What a variable holds before the first assignment: every byte is the zero point's lowest.

    TFLM takes the zero point of the tensor that is assigned; the one that is read has the same in a sound model.

    Source: MicroResourceVariables::Allocate, tensorflow/lite/micro/micro_resource_variable.cc.
    """
    zero = tensor.quant.zero_point[0] if tensor.quant is not None else 0
    return np.full(tensor.nbytes, zero & 0xFF, np.uint8).view(tensor.dtype.label).reshape(tensor.shape)


def run_graph(call: Call, index: int, operands: tuple[Array, ...]) -> tuple[Array, ...]:
    """Outputs of another graph of the model."""
    assert call.run is not None, "there is no model around this operator"
    return call.run(index, operands)


def shaped(call: Call, results: tuple[Array, ...]) -> tuple[Array, ...]:
    """A graph's outputs as the operator's: TFLM copies their bytes, whatever their shapes."""
    return tuple(np.array(v).reshape(t.shape) for v, t in zip(results, call.outputs, strict=True))
