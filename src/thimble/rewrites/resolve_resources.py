# SPDX-License-Identifier: Apache-2.0
"""Resource variables become tensors that keep their values, with what CALL_ONCE assigned as first values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.ir import Array, DType, Graph, Kind, Model, Op, Tensor, TensorId
from thimble.ops.assign_variable import AssignVariable
from thimble.ops.call_once import CallOnce
from thimble.ops.read_variable import ReadVariable
from thimble.ops.resources import Key, resource_key, untouched
from thimble.ops.var_handle import VarHandle
from thimble.rewrites.compacted import compacted, next_buffer


def resolve_resources(model: Model) -> Graph:
    """The main graph without VAR_HANDLE and CALL_ONCE: READ_VARIABLE and ASSIGN_VARIABLE name the variable itself.

    Precondition: handles come from VAR_HANDLE in the same graph; CALL_ONCE runs before any variable is touched.
    Memory: every variable takes its bytes of the arena for good, as in TFLM; one that the main graph never assigns
    is a constant in flash instead.
    Numbers: bit-exact. The first values are those that TFLM has after its first CALL_ONCE.

    Raises:
        UnsupportedOperatorError: a handle from elsewhere, or CALL_ONCE after an operator that touches a variable.
    """
    graph = model.main
    if not any(_is_resource(graph, op) for op in graph.ops):
        return graph
    handles = {op.outputs[0]: resource_key(op.attrs) for op in graph.ops if isinstance(op.attrs, VarHandle)}
    for op in graph.ops:
        _check(graph, op, handles)
    tensors = list(graph.tensors)
    variables = _variables(model, handles, tensors)
    ops = []
    for op in graph.ops:
        if isinstance(op.attrs, ReadVariable | AssignVariable):
            handle = op.inputs[0]
            assert handle is not None
            ops.append(replace(op, inputs=(variables[handles[handle]], *op.inputs[1:])))
        elif not isinstance(op.attrs, VarHandle | CallOnce):
            ops.append(op)
    return compacted(graph, tensors, ops)


def _is_resource(graph: Graph, op: Op) -> bool:
    touched = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i is not None]
    return isinstance(op.attrs, CallOnce) or any(t.dtype is DType.RESOURCE for t in touched)


def _check(graph: Graph, op: Op, handles: dict[TensorId, Key]) -> None:
    if isinstance(op.attrs, CallOnce):
        if any(isinstance(earlier.attrs, ReadVariable | AssignVariable) for earlier in graph.ops[: op.id]):
            raise UnsupportedOperatorError(f"{op.label} cannot be compiled: it must run before variables are touched")
        return
    for operand in (i for i in op.inputs if i is not None and graph.tensors[i].dtype is DType.RESOURCE):
        if operand not in handles or not isinstance(op.attrs, ReadVariable | AssignVariable):
            raise UnsupportedOperatorError(
                f"{op.label} cannot be compiled: handles must come from VAR_HANDLE and go to READ_VARIABLE or "
                "ASSIGN_VARIABLE"
            )


def _variables(model: Model, handles: dict[TensorId, Key], tensors: list[Tensor]) -> dict[Key, TensorId]:
    """Append a tensor per variable that is used; their ids by key."""
    graph, first = model.main, _first_values(model)
    found: dict[Key, TensorId] = {}
    for op in graph.ops:
        if not isinstance(op.attrs, ReadVariable | AssignVariable):
            continue
        handle = op.inputs[0]
        assert handle is not None
        key = handles[handle]
        if key in found:
            continue
        assigned = _operand(graph, key, handles, AssignVariable)
        like = assigned or _operand(graph, key, handles, ReadVariable)
        assert like is not None
        value = first.get(key, untouched(like)).reshape(like.shape)
        found[key] = TensorId(len(tensors))
        tensors.append(
            Tensor(
                id=found[key],
                name=key[2],
                shape=like.shape,
                dtype=like.dtype,
                quant=like.quant,
                kind=Kind.CONSTANT if assigned is None else Kind.VARIABLE,
                data=np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes(),
                buffer=next_buffer(tensors),
            )
        )
    return found


def _operand(
    graph: Graph, key: Key, handles: dict[TensorId, Key], kind: type[ReadVariable] | type[AssignVariable]
) -> Tensor | None:
    """The tensor that is first assigned to the variable, or first read from it."""
    for op in graph.ops:
        if isinstance(op.attrs, kind) and op.inputs[0] is not None and handles[op.inputs[0]] == key:
            operand: Sequence[TensorId | None] = op.outputs if kind is ReadVariable else op.inputs[1:]
            return None if operand[0] is None else graph.tensors[operand[0]]
    return None


def _first_values(model: Model) -> dict[Key, Array]:
    """What the variables hold after the graphs that CALL_ONCE names, in the main graph's order."""
    state: dict[Key, Array] = {}
    for op in model.main.ops:
        if isinstance(op.attrs, CallOnce):
            # The graph in the place of the main one, which it does not call.
            executor = Executor(replace(model, graphs=(model.graphs[op.attrs.init_subgraph_index], *model.graphs[1:])))
            executor.state.update(state)
            executor.run()
            state = {key: value for key, value in executor.state.items() if key[0] == "resource"}
    return state
