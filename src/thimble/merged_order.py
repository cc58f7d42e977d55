# SPDX-License-Identifier: Apache-2.0
"""The order of least peak where results take the place of operands that die (rung 3).

An operator on one tensor that computes in its place, and is the only one to read it, adds no bytes. It is left out of
the graph, its result becomes its operand, and it runs right after the operand's producer:

    x = CONV_2D(...)        x = CONV_2D(...)
    y = RELU(x)        →    z = ADD(x, w)          the search sees one tensor in place of x and y
    z = ADD(y, w)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from thimble.ir import Graph, Kind, OpId, TensorId
from thimble.lower import Unit
from thimble.memory import Schedule
from thimble.schedule import optimal_order


def merged_order(
    graph: Graph, units: tuple[Unit, ...], *, scratch: Mapping[OpId, int], keep_inputs: bool, alignment: int
) -> Schedule | None:
    """An order for the merged tensors; None if nothing is merged.

    Args:
        graph: what is to be ordered.
        units: its operators, each by itself, with their kernels.
        scratch: bytes that operators need only while they run.
        keep_inputs: graph inputs survive the inference.
        alignment: tensors are counted in multiples of this many bytes.
    """
    over = _in_place(graph, units)
    if not over:
        return None
    root: dict[TensorId, TensorId] = {}
    after: dict[TensorId, list[OpId]] = {}
    kept = []
    for op in graph.ops:
        if op.id in over:
            operand = root.get(over[op.id], over[op.id])
            root[op.outputs[0]] = operand
            after.setdefault(operand, []).append(op.id)
        else:
            kept.append(op)
    fewer = tuple(
        replace(op, id=OpId(number), inputs=tuple(None if t is None else root.get(t, t) for t in op.inputs))
        for number, op in enumerate(kept)
    )
    outputs = tuple(root.get(t, t) for t in graph.outputs)
    space = {OpId(number): scratch.get(op.id, 0) for number, op in enumerate(kept)}
    reduced = replace(graph, ops=fewer, outputs=outputs)
    found = optimal_order(reduced, scratch=space, keep_inputs=keep_inputs, alignment=alignment)
    order = [
        op
        for number in found.order
        for op in (kept[number].id, *(late for t in kept[number].outputs for late in after.get(t, ())))
    ]
    return Schedule(tuple(order), "search")


def _in_place(graph: Graph, units: tuple[Unit, ...]) -> dict[OpId, TensorId]:
    """The operators that add no bytes, with the operand whose place they take: one that another operator computes."""
    readers: dict[TensorId, set[OpId]] = {}
    for op in graph.ops:
        for tensor in op.inputs:
            if tensor is not None:
                readers.setdefault(tensor, set()).add(op.id)
    made = {t for op in graph.ops for t in op.outputs}
    found: dict[OpId, TensorId] = {}
    for unit in units:
        op = graph.ops[unit.segment.ops[0]]
        pairs = unit.calls[0][0].in_place if len(unit.calls[0]) == 1 else ()
        for read, _ in pairs:
            operand = unit.calls[0][0].reads[read].tensor.id
            alone = readers.get(operand) == {op.id} and operand in made and operand not in graph.outputs
            alone &= all(t in (None, operand) or graph.tensors[t].kind is Kind.CONSTANT for t in op.inputs)
            if alone and len(op.outputs) == 1 and graph.tensors[operand].nbytes == graph.tensors[op.outputs[0]].nbytes:
                found.setdefault(op.id, operand)
    return found
