# SPDX-License-Identifier: Apache-2.0
"""What the rewrites share: a graph made of the parts that are left, with dense ids again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from thimble.ir import Graph, Op, OpId, Tensor, TensorId


def compacted(graph: Graph, tensors: Sequence[Tensor], ops: Iterable[Op], outputs: Sequence[TensorId] = ()) -> Graph:
    """The graph of these tensors (by place) and operators, less the tensors that nothing names.

    Inputs stay, so that the caller's view of the model does not change; outputs are the graph's unless given.
    Operators keep their `source`, by which messages name them as the file does.
    """
    kept, ends = list(ops), tuple(outputs) or graph.outputs
    named: set[TensorId] = {*graph.inputs, *ends}
    for op in kept:
        named.update(i for i in chain(op.inputs, op.outputs, op.intermediates) if i is not None)
    order = sorted(named)
    place = {old: TensorId(new) for new, old in enumerate(order)}

    def moved(ids: Iterable[TensorId]) -> tuple[TensorId, ...]:
        return tuple(place[i] for i in ids)

    return Graph(
        name=graph.name,
        tensors=tuple(replace(tensors[i], id=place[i]) for i in order),
        ops=tuple(
            replace(
                op,
                id=OpId(index),
                inputs=tuple(None if i is None else place[i] for i in op.inputs),
                outputs=moved(op.outputs),
                intermediates=moved(op.intermediates),
            )
            for index, op in enumerate(kept)
        ),
        inputs=moved(graph.inputs),
        outputs=moved(ends),
    )


def next_buffer(tensors: Iterable[Tensor]) -> int:
    """A constant's storage that no other has."""
    return 1 + max((tensor.buffer for tensor in tensors), default=0)
