# SPDX-License-Identifier: Apache-2.0
"""An input that the application hands over row by row, an output that it takes row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from thimble.errors import OptionError
from thimble.ir import Attrs, Graph, Kind, Op, OpId, Tensor, TensorId
from thimble.ops.handover import GiveRows, TakeRows
from thimble.ops.rows import is_image
from thimble.rewrites.compacted import compacted
from thimble.streaming import row_rules


def hand_over(graph: Graph, *, stream_input: bool = False, stream_output: bool = False) -> Graph:
    """Put TAKE_ROWS behind the first input that is an image, and GIVE_ROWS before the first output that is one.

    Precondition: none; the graph comes straight from `compilable`.
    Memory: input and output themselves take no bytes of the arena any more; a segment keeps the rows that it needs.
    Numbers: none change.

    Raises:
        OptionError: there is no such image, or an operator reads or computes it whole.
    """
    graph = _taking(graph) if stream_input else graph
    return _giving(graph) if stream_output else graph


def _taking(graph: Graph) -> Graph:
    image = _first_image(graph, graph.inputs, "--stream-input", "input")
    readers = [op for op in graph.ops if image.id in op.inputs]
    for op in readers:
        if image.id not in (row_rules(graph, op.id) or {}):
            raise OptionError(f"--stream-input: {op.label} needs the input '{image.name}' whole")
    if not readers:
        raise OptionError(f"--stream-input: no operator reads the input '{image.name}'")
    inside = TensorId(len(graph.tensors))
    tensors = [*graph.tensors, replace(image, id=inside, kind=Kind.ACTIVATION)]
    tensors[image.id] = replace(image, kind=Kind.OUTSIDE)
    ops = [replace(op, inputs=tuple(inside if i == image.id else i for i in op.inputs)) for op in graph.ops]
    ops.insert(readers[0].id, _handover(TakeRows(), readers[0], image, image.id, inside))
    outputs = tuple(inside if i == image.id else i for i in graph.outputs)
    return compacted(graph, tensors, ops, outputs)


def _giving(graph: Graph) -> Graph:
    image = _first_image(graph, graph.outputs, "--stream-output", "output")
    maker = next((op for op in graph.ops if image.id in op.outputs), None)
    if maker is None:
        raise OptionError(f"--stream-output: no operator computes the output '{image.name}'")
    if row_rules(graph, maker.id) is None:
        raise OptionError(f"--stream-output: {maker.label} computes the output '{image.name}' whole")
    taken = TensorId(len(graph.tensors))
    tensors = [*graph.tensors, replace(image, id=taken, kind=Kind.OUTSIDE)]
    ops = list(graph.ops)
    ops.insert(maker.id + 1, _handover(GiveRows(), maker, image, image.id, taken))
    first = graph.outputs.index(image.id)
    return compacted(graph, tensors, ops, (*graph.outputs[:first], taken, *graph.outputs[first + 1 :]))


def _first_image(graph: Graph, ports: Sequence[TensorId], option: str, kind: str) -> Tensor:
    tensors = [graph.tensors[i] for i in ports]
    image = next((tensor for tensor in tensors if is_image(tensor)), None)
    if image is None:
        found = ", ".join(f"'{tensor.name}' {list(tensor.shape)}" for tensor in tensors)
        raise OptionError(f"{option}: no {kind} is an image [1, height, width, channels]; the model has {found}")
    return image


def _handover(attrs: Attrs, beside: Op, image: Tensor, read: TensorId, written: TensorId) -> Op:
    return Op(OpId(0), image.name, attrs, (read,), (written,), beside.source)


__all__ = ["hand_over"]
