# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for small graphs, their schedules and their plans.

Shapes come from the operators' own rules, so every graph passes `verify_graph`. What is awkward in real
files is drawn often: results that nobody reads, tensors read several times, zero-size tensors, inputs that
are outputs, variables, opaque operators, operators without results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from thimble.ir import (
    Activation,
    Attrs,
    Custom,
    DType,
    Graph,
    Kind,
    Op,
    Opaque,
    OpId,
    Padding,
    Quant,
    Shape,
    Source,
    Tensor,
    TensorId,
)
from thimble.memory import Interval, Placement, Plan, Schedule, Scratch
from thimble.ops.add import Add
from thimble.ops.assign_variable import AssignVariable
from thimble.ops.average_pool_2d import AveragePool2D
from thimble.ops.concatenation import Concatenation
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.pad import Pad
from thimble.ops.read_variable import ReadVariable
from thimble.ops.relu import Relu
from thimble.ops.reshape import Reshape
from thimble.ops.split import Split
from thimble.ops.var_handle import VarHandle

FILE = "drawn.tflite"
NAMES = st.one_of(st.just("x"), st.text(max_size=6))  # any text: quotes, line breaks, other scripts
SCALES = st.floats(min_value=2.0**-20, max_value=2.0**10, width=32)


@dataclass
class _Draft:
    """A graph being drawn. `values` are the tensors that an operator may read by now."""

    draw: st.DrawFn
    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def tensor(self, shape: Shape, kind: Kind, dtype: DType = DType.INT8, data: bytes | None = None) -> Tensor:
        index = len(self.tensors)
        quant = None if dtype is not DType.INT8 else self.draw(st.none() | st.just(Quant((0.5,), (-3,))) | quants())
        name = f"t{index} {self.draw(NAMES)}"
        self.tensors.append(Tensor(TensorId(index), name, shape, dtype, quant, kind, data, buffer=index + 1))
        return self.tensors[-1]

    def constant(self, shape: Shape) -> Tensor:
        seed = self.draw(st.integers(0, 255))
        size = int(np.prod(shape))
        return self.tensor(shape, Kind.CONSTANT, data=bytes((seed + 7 * i) % 256 for i in range(size)))

    def numbers(self, values: Iterable[int], shape: Shape) -> Tensor:
        return self.tensor(shape, Kind.CONSTANT, DType.INT32, np.array([*values], np.int32).tobytes())

    def pick(self, *, rank: int | None = None, dtype: DType = DType.INT8, empty: bool = True) -> Tensor | None:
        """A value that may be read, late ones more often (deeper graphs)."""
        found = [
            t for t in self.values if t.dtype is dtype and rank in (None, len(t.shape)) and (empty or t.elements > 0)
        ]
        return self.draw(st.sampled_from(found[-3:] + found)) if found else None

    def emit(
        self, attrs: Attrs, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, ...]:
        """Append an operator; without `outputs` its rule gives their shapes."""
        if outputs is None:
            outputs = tuple(self.tensor(shape, Kind.ACTIVATION) for shape in attrs.output_shapes(inputs) or ())
        index = OpId(len(self.ops))
        name = outputs[0].name if outputs else f"{attrs.OP.lower()}_{index}"
        ids = tuple(None if t is None else t.id for t in inputs)
        self.ops.append(Op(index, name, attrs, ids, tuple(t.id for t in outputs), Source(FILE, "drawn", index)))
        self.values += outputs
        return outputs


@st.composite
def quants(draw: st.DrawFn) -> Quant:
    scales = draw(st.lists(SCALES, min_size=1, max_size=3))
    points = draw(st.lists(st.integers(-128, 127), min_size=len(scales), max_size=len(scales)))
    return Quant(tuple(scales), tuple(points), draw(st.integers(0, 3)))


def _window(draft: _Draft) -> tuple[Padding, int, int]:
    draw = draft.draw
    return draw(st.sampled_from(Padding)), draw(st.integers(1, 2)), draw(st.integers(1, 2))


def _conv(draft: _Draft) -> None:
    x = draft.pick(rank=4, empty=False)
    if x is not None:
        padding, stride, kernel = _window(draft)
        kernel = min(kernel, *x.shape[1:3])
        channels = draft.draw(st.integers(1, 4))
        bias = draft.draw(st.sampled_from((None, "bias")))
        filters = draft.constant((channels, kernel, kernel, x.shape[3]))
        operands = (x, filters, None if bias is None else draft.numbers(range(channels), (channels,)))
        draft.emit(Conv2D(padding, stride, 1, Activation.RELU6), operands)


def _depthwise(draft: _Draft) -> None:
    x = draft.pick(rank=4, empty=False)
    if x is not None:
        padding, stride, kernel = _window(draft)
        kernel = min(kernel, *x.shape[1:3])
        multiplier = draft.draw(st.integers(1, 2))
        filters = draft.constant((1, kernel, kernel, x.shape[3] * multiplier))
        draft.emit(DepthwiseConv2D(padding, stride, stride, multiplier), (x, filters))


def _pool(draft: _Draft) -> None:
    x = draft.pick(rank=4, empty=False)
    if x is not None:
        padding, stride, kernel = _window(draft)
        kernel = min(kernel, *x.shape[1:3])
        draft.emit(AveragePool2D(padding, stride, stride, kernel, kernel), (x,))


def _add(draft: _Draft) -> None:
    x = draft.pick()
    if x is not None:
        same = [t for t in draft.values if t.shape == x.shape and t.dtype is x.dtype]
        draft.emit(Add(), (x, draft.draw(st.sampled_from(same))))


def _concatenate(draft: _Draft) -> None:
    x = draft.pick()
    if x is not None and x.shape:
        same = [t for t in draft.values if t.shape == x.shape and t.dtype is x.dtype]
        axis = draft.draw(st.integers(-len(x.shape), len(x.shape) - 1))
        parts = draft.draw(st.lists(st.sampled_from(same), min_size=1, max_size=3))
        draft.emit(Concatenation(axis), (x, *parts))


def _relu(draft: _Draft) -> None:
    x = draft.pick()
    if x is not None:
        draft.emit(Relu(), (x,))


def _reshape(draft: _Draft) -> None:
    x = draft.pick()
    if x is not None:
        shape = draft.draw(st.sampled_from(((x.elements,), (1, 1, 1, x.elements), (1, x.elements))))
        operand = draft.draw(st.booleans()) or shape == (0,)  # the attribute [0] is old files' word for a scalar
        wanted = draft.numbers(shape, (len(shape),)) if operand else None
        draft.emit(Reshape(() if operand else shape), (x,) if wanted is None else (x, wanted))


def _pad(draft: _Draft) -> None:
    x = draft.pick()
    if x is not None and x.elements < 512:
        pads = draft.draw(st.lists(st.integers(0, 1), min_size=2 * len(x.shape), max_size=2 * len(x.shape)))
        draft.emit(Pad(), (x, draft.numbers(pads, (len(x.shape), 2))))


def _split(draft: _Draft) -> None:
    x = draft.pick()
    if x is not None and x.shape:
        parts = draft.draw(st.sampled_from([p for p in (1, 2, 3) if x.shape[-1] % p == 0]))
        draft.emit(Split(parts), (draft.numbers((-1,), ()), x))


def _unknown(draft: _Draft) -> None:
    """An operator of any shape that reads anything, and may write a variable."""
    draw = draft.draw
    inputs = draw(st.lists(st.sampled_from(draft.values), max_size=3)) if draft.values else []
    outputs = tuple(draft.tensor(draw(shapes()), Kind.ACTIVATION) for _ in range(draw(st.integers(0, 2))))
    variables = [t for t in draft.tensors if t.kind is Kind.VARIABLE]
    if variables and draw(st.booleans()):
        outputs = (*outputs, draw(st.sampled_from(variables)))
    attrs = draw(st.sampled_from((Custom("my_op", b"\x00\xff"), Custom('odd "name"'), Opaque("NEW_OP"))))
    draft.emit(attrs, (*inputs, None) if draw(st.booleans()) else tuple(inputs), outputs)


def _variable(draft: _Draft) -> None:
    """A resource: handle, a value assigned to it, and read back."""
    x = draft.pick()
    if x is not None:
        draft.emit(VarHandle("", "state"), (), (draft.tensor((), Kind.ACTIVATION, DType.RESOURCE),))
        handle = draft.values[-1]
        draft.emit(AssignVariable(), (handle, x))
        draft.emit(ReadVariable(), (handle,), (draft.tensor(x.shape, Kind.ACTIVATION),))


RECIPES: tuple[Callable[[_Draft], None], ...] = (
    _conv,
    _depthwise,
    _pool,
    _add,
    _concatenate,
    _relu,
    _reshape,
    _pad,
    _split,
    _unknown,
)


def shapes() -> st.SearchStrategy[Shape]:
    """Mostly `[1,H,W,C]`, some of lower rank, now and then an empty one."""
    images = st.tuples(st.just(1), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
    empty = st.sampled_from(((0,), (1, 0, 3, 2), (2, 0)))
    return st.one_of(images, images, images, st.tuples(st.integers(1, 30)), st.just(()), empty)


@st.composite
def graphs(draw: st.DrawFn, max_ops: int = 12, min_ops: int = 0, state: bool = True) -> Graph:
    """A sound graph of at most `max_ops` operators; `state` allows variables and resources."""
    draft = _Draft(draw)
    for _ in range(draw(st.integers(1, 3))):
        draft.values.append(draft.tensor(draw(shapes()), Kind.INPUT))
    inputs = tuple(t.id for t in draft.values)
    if state and draw(st.booleans()):
        draft.values.append(draft.tensor(draw(shapes()), Kind.VARIABLE))
    wanted = draw(st.integers(min_ops, max_ops))
    while len(draft.ops) < wanted:
        stateful = state and wanted - len(draft.ops) >= 3 and draw(st.integers(0, 9)) == 0
        recipe = _variable if stateful else draw(st.sampled_from(RECIPES))
        before = len(draft.ops)
        recipe(draft)
        if len(draft.ops) == before:  # nothing to read that fits
            _unknown(draft)
    readable = [t.id for t in draft.values if t.dtype is not DType.RESOURCE]
    outputs = tuple(draw(st.lists(st.sampled_from(readable), min_size=1, max_size=3, unique=True)))
    return Graph("drawn", tuple(draft.tensors), tuple(draft.ops), inputs, outputs)


def _needs(graph: Graph) -> list[set[int]]:
    """Which operators must precede each one, found the slow way: writers of its operands, earlier state."""
    needs: list[set[int]] = []
    for op in graph.ops:
        earlier = graph.ops[: op.id]
        needs.append(
            {e.id for e in earlier if set(e.outputs) & set(op.inputs) or (_state(graph, op) and _state(graph, e))}
        )
    return needs


def _state(graph: Graph, op: Op) -> bool:
    touched = [graph.tensors[i] for i in (*op.inputs, *op.outputs) if i is not None]
    return any(t.kind is Kind.VARIABLE or t.dtype is DType.RESOURCE for t in touched)


@st.composite
def schedules(draw: st.DrawFn, graph: Graph) -> Schedule:
    """A random topological order; operators that touch state keep the file's order."""
    needs, order = _needs(graph), []
    while len(order) < len(graph.ops):
        ready = [op.id for op in graph.ops if op.id not in order and needs[op.id] <= set(order)]
        order.append(draw(st.sampled_from(ready)))
    return Schedule(tuple(order), "drawn")


def slow_lifetimes(graph: Graph, schedule: Schedule) -> dict[TensorId, Interval]:
    """Lifetimes from the definition: from the step that writes (or 0) to the last that reads (or the end).

    A graph without operators has one step here, so that its inputs are live at the same time.
    """
    found, steps = {}, max(1, len(schedule.order))
    for tensor in graph.tensors:
        writes = [s for s, index in enumerate(schedule.order) if tensor.id in graph.ops[index].outputs]
        reads = [s for s, index in enumerate(schedule.order) if tensor.id in graph.ops[index].inputs]
        if not tensor.in_arena or not (writes or tensor.id in graph.inputs):
            continue
        start = 0 if tensor.id in graph.inputs else writes[0]
        stop = max([start, *writes, *reads]) + 1
        if tensor.id in graph.outputs:
            stop = steps
        found[tensor.id] = Interval(start, stop)
    return found


def first_fit(sizes: list[int], lives: list[Interval], alignment: int = 1, floor: int = 0) -> list[int]:
    """Offsets, in the order given: each block at the lowest one that is free during its whole lifetime."""
    offsets: list[int] = []
    for size, life in zip(sizes, lives, strict=True):
        taken = sorted((o, o + s) for o, s, other in zip(offsets, sizes, lives, strict=False) if life.overlaps(other))
        at = -(-floor // alignment) * alignment
        for start, stop in taken:
            if at + size <= start:
                break
            at = max(at, -(-stop // alignment) * alignment)
        offsets.append(at)
    return offsets


@st.composite
def plans(draw: st.DrawFn, graph: Graph) -> Plan:
    """A correct plan: a random schedule, some scratch, one to three arenas, packed first fit in random order."""
    schedule = draw(schedules(graph))
    lives = slow_lifetimes(graph, schedule)
    steps = {op: step for step, op in enumerate(schedule.order)}
    busy = draw(st.lists(st.sampled_from(graph.ops), max_size=3)) if graph.ops else []
    needs = [(op.id, draw(st.integers(1, 40))) for op in busy]
    blocks: list[tuple[object, int, Interval]] = [(t, graph.tensors[t].nbytes, life) for t, life in lives.items()]
    blocks += [(i, n, Interval(steps[op], steps[op] + 1)) for i, (op, n) in enumerate(needs)]
    order = draw(st.permutations(range(len(blocks))))
    arenas = draw(st.integers(1, 3))
    home = draw(st.lists(st.integers(0, arenas - 1), min_size=len(blocks), max_size=len(blocks)))
    alignment, floor = draw(st.sampled_from((1, 4, 16))), draw(st.sampled_from((0, 0, 5)))
    places: dict[int, Placement] = {}
    heights = []
    for arena in range(arenas):
        here = [b for b in order if home[b] == arena]
        offsets = first_fit([blocks[b][1] for b in here], [blocks[b][2] for b in here], alignment, floor)
        places |= {b: Placement(arena, at) for b, at in zip(here, offsets, strict=True)}
        heights.append(max((at + blocks[b][1] for b, at in zip(here, offsets, strict=True)), default=0))
    tensors = tuple((t, places[b]) for b, t in enumerate(lives))
    scratch = tuple(Scratch(op, n, places[len(lives) + i]) for i, (op, n) in enumerate(needs))
    return Plan(graph, schedule, tensors, scratch, tuple(heights))
