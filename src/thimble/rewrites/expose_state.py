# SPDX-License-Identifier: Apache-2.0
"""State that custom operators keep inside becomes a tensor of the graph."""

from __future__ import annotations

from dataclasses import replace

from thimble.ir import Graph, Op, Tensor, TensorId
from thimble.ops.signal import Signal
from thimble.rewrites.compacted import compacted


def expose_state(graph: Graph) -> Graph:
    """Give operators with state of their own a variable as their last operand.

    Precondition: none.
    Memory: as much arena as TFLM's kernels allocate for it.
    Numbers: bit-exact.
    """
    tensors: list[Tensor] = list(graph.tensors)
    ops: list[Op] = []
    for op in graph.ops:
        state = op.attrs.state(graph.results(op)) if isinstance(op.attrs, Signal) else None
        if state is None:
            ops.append(op)
            continue
        place = TensorId(len(tensors))
        tensors.append(replace(state, id=place))
        ops.append(replace(op, inputs=(*op.inputs, place)))
    return graph if len(tensors) == len(graph.tensors) else compacted(graph, tensors, ops)
