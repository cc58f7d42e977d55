# SPDX-License-Identifier: Apache-2.0
"""Which tensors are computed and read as slices of others, so that joining and cutting them takes no copies (rung 3).

What is joined is computed straight into the result, if all that touch it can work there; of results that are joined
again, as in the blocks of a DenseNet, all are slices of the last one. What is cut is read straight from its operand.
A slice takes the bytes of what it is a part of as long as any part lives: it is left apart where that costs more than
the copy does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Graph, Kind, OpId, Tensor, TensorId
from thimble.kernel import Choice, Flavour, Slice, View
from thimble.lower import alignment_of
from thimble.ops.elementwise import Binary, Unary
from thimble.slices import Slices, copied_views, is_dense, place_of, sliced_calls
from thimble.streaming import Segment

_WORD = 4
"""Bytes of the words that kernels load from pixels that are whole words: they must stay aligned."""


def slices_within(
    graph: Graph, order: Sequence[OpId], flavour: Flavour, *, keep_inputs: bool = False
) -> dict[TensorId, Slice]:
    """Where slices are that save bytes, or copies at no cost."""
    finder = _Finder(graph, order, flavour, keep_inputs)
    for op in reversed(order):
        finder.join(op)
    for op in order:
        finder.cut(op)
    return finder.found


def sliced(graph: Graph, parts: Sequence[Segment], slices: Slices) -> tuple[Segment, ...]:
    """The segments with those slices; what touches one, or what it is a part of, runs as a whole.

    Precondition: such operators are segments by themselves.
    """
    touched = {*slices, *(place.root for place in slices.values())}
    found = []
    for part in parts:
        tensors = [t for op in part.ops for t in (*graph.ops[op].inputs, *graph.ops[op].outputs) if t in touched]
        own = {t: slices[t] for t in tensors if t is not None and t in slices}
        found.append(Segment(part.ops, slices=own) if tensors else part)
    return tuple(found)


class _Finder:
    """The slices that were found so far, and what else tensors are used for."""

    def __init__(self, graph: Graph, order: Sequence[OpId], flavour: Flavour, keep_inputs: bool) -> None:
        self.graph = graph
        self.flavour = flavour
        self.found: dict[TensorId, Slice] = {}
        self.maker: dict[TensorId, OpId] = {t: op.id for op in graph.ops for t in op.outputs}
        self.readers: dict[TensorId, list[OpId]] = {}
        self.life = {t: [0, 0] for t in graph.given}
        for at, op in enumerate(order):
            for tensor in graph.ops[op].outputs:
                self.life[tensor] = [at, at]
            for operand in graph.ops[op].inputs:
                if operand is not None and operand in self.life:
                    self.readers.setdefault(operand, []).append(op)
                    self.life[operand][1] = at
        for tensor in (*graph.outputs, *(graph.inputs if keep_inputs else ())):
            if tensor in self.life:
                self.life[tensor][1] = len(order)
        self.size = {t: graph.tensors[t].nbytes for t in self.life if graph.tensors[t].in_arena}
        dying = ((op.outputs, self._dying(op.id)) for op in graph.ops)
        self.over = {results[0]: operand for results, operand in dying if operand is not None}
        self.before = self._live({})
        self.copies = {op.id: self._copies(op.id) for op in graph.ops}

    def _copies(self, index: OpId) -> tuple[tuple[View, View], ...]:
        op = self.graph.ops[index]
        if op.attrs.macs(self.graph.operands(op), self.graph.results(op)):
            return ()
        return copied_views(sliced_calls(self.graph, op, Choice(self.flavour), {}) or ())

    def join(self, index: OpId) -> None:
        """Operands that are copied into parts of the result."""
        for read, write in self.copies[index]:
            if read.shape is None and write.shape is not None and write.tensor.in_arena:
                trial: dict[TensorId, Slice] = {}
                self._gather(read.tensor, place_of(write, self.found), trial)
                self._keep(trial)

    def cut(self, index: OpId) -> None:
        """Results that are copied from parts of the operand."""
        for read, write in self.copies[index]:
            if write.shape is None and read.shape is not None and read.tensor.in_arena:
                place = place_of(read, self.found)
                if place is not None and self._may_be(write.tensor, place):
                    self._keep({write.tensor.id: place})

    def _gather(self, tensor: Tensor, place: Slice | None, trial: dict[TensorId, Slice]) -> None:
        """A tensor in a place, and with it what must be there too."""
        if place is None or tensor.id in trial or not self._may_be(tensor, place):
            return
        trial[tensor.id] = place
        maker = self.maker[tensor.id]
        for read, write in self.copies[maker]:
            only = self.readers.get(read.tensor.id) == [maker]
            if read.shape is None and (only if write.shape is None else not is_dense(tensor, place)):
                self._gather(read.tensor, place_of(write, trial), trial)

    def _may_be(self, tensor: Tensor, place: Slice) -> bool:
        """Whether a tensor can be in a place, by itself: computed here, used here, and words stay words."""
        known = tensor.id in self.found or tensor.id in self.graph.outputs or tensor.id not in self.maker
        if known or tensor.kind is not Kind.ACTIVATION or not tensor.in_arena:
            return False
        if is_dense(tensor, place):
            return place.offset % alignment_of(tensor) == 0
        word = max(tensor.dtype.bits // 8, min(_WORD, place.run & -place.run))
        return place.offset % word == place.pitch % word == 0

    def _keep(self, trial: Mapping[TensorId, Slice]) -> None:
        """Adds slices if all operators can work on them, and the arena is none the larger."""
        if trial and self._pays(trial) and self._sound(trial):
            self.found.update(trial)
            self.before = self._live(self.found)

    def _sound(self, trial: Mapping[TensorId, Slice]) -> bool:
        slices = {**self.found, **trial}
        touched = {self.maker[t] for t in trial} | {op for t in trial for op in self.readers.get(t, ())}
        return all(self._works(op, slices) for op in sorted(touched))

    def _works(self, index: OpId, slices: Slices) -> bool:
        """Whether an operator has kernels for slices: its own, and portable ones where there is little work space."""
        op = self.graph.ops[index]
        try:
            flavours = self.flavour, Flavour.PORTABLE
            return all(sliced_calls(self.graph, op, Choice(f), slices) is not None for f in flavours)
        except UnsupportedOperatorError:
            return False

    def _pays(self, trial: Mapping[TensorId, Slice]) -> bool:
        """Whether the most bytes that live while the slices do are no more with them than without."""
        after = self._live({**self.found, **trial})
        roots = {place.root for place in trial.values()}
        start = min(self.life[t][0] for t in (*trial, *roots))
        stop = max(self.life[t][1] for t in (*trial, *roots)) + 1
        return max(after[start:stop]) <= max(self.before[start:stop])

    def _live(self, slices: Slices) -> list[int]:
        """Bytes that live at each position of the schedule."""
        change = [0] * (2 + max(stop for _, stop in self.life.values()))
        for tensor, (start, stop) in self._blocks(slices):
            change[start] += self.size[tensor]
            change[stop + 1] -= self.size[tensor]
        return list(accumulate(change))

    def _blocks(self, slices: Slices) -> Iterator[tuple[TensorId, tuple[int, int]]]:
        """Tensors that take bytes of their own, and when; results in place of operands count with these."""
        parts: dict[TensorId, list[TensorId]] = {}
        for tensor, place in slices.items():
            parts.setdefault(place.root, []).append(tensor)
        block: dict[TensorId, TensorId] = {}
        lives: dict[TensorId, tuple[int, int]] = {}
        for tensor in self.size:
            if tensor in slices:
                continue
            start, stop = self.life[tensor]
            if tensor in parts:
                spans = [self.life[t] for t in (tensor, *parts[tensor])]
                start, stop = min(start for start, _ in spans), max(stop for _, stop in spans)
            over = self.over.get(tensor)
            home = tensor if over not in block or lives[block[over]][1] > start else block[over]
            block[tensor] = home
            lives[home] = (lives.get(home, (start, stop))[0], stop)
        yield from lives.items()

    def _dying(self, index: OpId) -> TensorId | None:
        """The operand in whose place an operator on single elements can compute its result."""
        op = self.graph.ops[index]
        if not isinstance(op.attrs, Unary | Binary):
            return None
        sizes = {t: self.graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs) if t is not None}
        same = (t for t in op.inputs if t in self.life and sizes[t] == sizes[op.outputs[0]])
        return next((t for t in same if self.life[t][1] == self.life[op.outputs[0]][0]), None)
