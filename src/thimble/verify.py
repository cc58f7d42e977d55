# SPDX-License-Identifier: Apache-2.0
"""The independent check of every stage: slow, obvious, and blind to how the result came about.

Imports only the IRs. A plan is checked by running the graph on a *symbolic arena*: each byte holds the id
of what was last written there, and whoever reads must find its own id. A wrong lifetime, order or offset
therefore shows as a clobbered byte, whatever the planner believed.

Source of the idea: the register allocation checker of regalloc2 (src/checker.rs).
"""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import numpy.typing as npt

from thimble.errors import InternalError, ShapeError
from thimble.ir import DType, Graph, Kind, Op, Tensor, TensorId
from thimble.memory import Placement, Plan, Schedule


def verify_graph(graph: Graph) -> None:
    """Ids are dense, operands exist, each tensor is written once and before it is read, shapes obey the rules.

    Raises:
        InternalError: the first violation.
    """
    for place, tensor in enumerate(graph.tensors):
        _expect(tensor.id == place, f"tensor {place} has the id {tensor.id}")
        _expect(all(d >= 0 for d in tensor.shape), f"tensor '{tensor.name}' has a negative dimension")
    for index in (*graph.inputs, *graph.outputs):
        _expect(0 <= index < len(graph.tensors), f"graph '{graph.name}' names tensor {index}, which does not exist")
    made = (Kind.ACTIVATION, Kind.OUTSIDE)
    written: set[TensorId] = {t.id for t in graph.tensors if t.kind not in made or t.nbytes == 0} | set(graph.inputs)
    for place, op in enumerate(graph.ops):
        _expect(op.id == place, f"operator {place} has the id {op.id}")
        for index in chain((i for i in op.inputs if i is not None), op.outputs):
            _expect(0 <= index < len(graph.tensors), f"{op.label} names tensor {index}, which does not exist")
        for operand in op.inputs:
            _expect(operand is None or operand in written, f"{op.label} reads tensor {operand} before it is written")
        for index in op.outputs:
            fresh = (
                index not in written or graph.tensors[index].kind is Kind.VARIABLE or not graph.tensors[index].nbytes
            )
            _expect(fresh, f"{op.label} writes tensor {index}, which already has a value")
            written.add(index)
        _verify_shapes(graph, op)
    for index in graph.outputs:
        _expect(index in written, f"output {index} of graph '{graph.name}' is never written")


def _verify_shapes(graph: Graph, op: Op) -> None:
    try:
        shapes = op.attrs.output_shapes(graph.operands(op))
    except ShapeError as error:
        raise InternalError(f"{op.label}: {error}") from None
    if shapes is None:
        return
    _expect(len(shapes) == len(op.outputs), f"{op.label}: has {len(op.outputs)} outputs, its rule gives {len(shapes)}")
    for shape, tensor in zip(shapes, graph.results(op), strict=True):
        same = math.prod(shape) == tensor.elements or tensor.kind is Kind.VARIABLE
        _expect(same, f"{op.label}: '{tensor.name}' should have the shape {list(shape)}")


def verify_schedule(graph: Graph, schedule: Schedule) -> None:
    """Every operator runs exactly once, and after the operators that write what it reads.

    Raises:
        InternalError: the first violation.
    """
    _expect(
        sorted(schedule.order) == list(range(len(graph.ops))), "the schedule does not run each operator exactly once"
    )
    written = {t.id for t in graph.tensors if t.kind is not Kind.ACTIVATION or t.nbytes == 0}
    last_state = -1
    for index in schedule.order:
        op = graph.ops[index]
        for tensor in op.inputs:
            _expect(tensor is None or tensor in written, f"{op.label} is scheduled before tensor {tensor} is written")
        written.update(op.outputs)
        if _has_state(graph, op):
            _expect(index > last_state, f"{op.label} is scheduled after a later operator that has state")
            last_state = index


def _has_state(graph: Graph, op: Op) -> bool:
    """Whether running the operator earlier or later than others of its kind could change results."""
    touched = [graph.tensors[t] for t in (*op.inputs, *op.outputs) if t is not None]
    return bool(op.attrs.subgraphs()) or any(t.kind is Kind.VARIABLE or t.dtype is DType.RESOURCE for t in touched)


_IN_PLACE = ("ADD", "SUB", "MUL", "RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU")
_IN_PLACE_VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def _bears_sharing(op: Op, operand: Tensor, result: Tensor) -> bool:
    """Whether TFLM's kernels of this operator may write `result` over `operand`: element i for element i."""
    if operand.kind not in (Kind.INPUT, Kind.ACTIVATION) or operand.nbytes != result.nbytes or len(op.outputs) != 1:
        return False
    if op.kind in _IN_PLACE_VIEWS:
        return operand.id == op.inputs[0] and operand.dtype is result.dtype
    if operand.shape != result.shape:
        return False
    return op.kind == "QUANTIZE" or (op.kind in _IN_PLACE and operand.dtype is result.dtype)


class _Arena:
    """Byte ranges of one arena, each holding the id last written there.

    Only the bytes between two neighbouring block boundaries are told apart; all bytes of such a cell are
    written and read together, so one cell stands for them exactly.
    """

    def __init__(self, height: int, blocks: list[tuple[int, int]]) -> None:
        edges = sorted({0, height, *chain.from_iterable(blocks)})
        self.cell = {edge: i for i, edge in enumerate(edges)}
        self.cells: npt.NDArray[np.int64] = np.full(len(edges), -1, np.int64)

    def write(self, start: int, stop: int, owner: int) -> None:
        self.cells[self.cell[start] : self.cell[stop]] = owner

    def intruder(self, start: int, stop: int, owner: int) -> int | None:
        """The id that sits where `owner` should be, or None if all its bytes are its own."""
        held = self.cells[self.cell[start] : self.cell[stop]]
        wrong = held[held != owner]
        return int(wrong[0]) if wrong.size else None


def verify_plan(plan: Plan, *, in_place: bool = False) -> None:
    """Run the plan on symbolic arenas.

    Args:
        plan: where everything lies, and the order.
        in_place: operators whose TFLM kernels bear it may write their result exactly over an operand.

    Raises:
        InternalError: a tensor without a place, a block outside its arena, or bytes clobbered before their
            last reader, naming operator, tensor and intruder.
    """
    verify_schedule(plan.graph, plan.schedule)
    _Run(plan, in_place).run()


class _Run:
    """One symbolic execution. Tensors own their ids; scratch block k owns `len(tensors) + k`."""

    def __init__(self, plan: Plan, in_place: bool) -> None:
        self.plan = plan
        self.in_place = in_place
        self.graph = plan.graph
        self.places = dict(plan.placements)
        _expect(len(self.places) == len(plan.placements), "a tensor has two places")
        for tensor in self.places:
            _expect(0 <= tensor < len(self.graph.tensors), f"tensor {tensor} has a place but does not exist")
        blocks: list[list[tuple[int, int]]] = [[] for _ in plan.heights]
        for what, size, place in self._blocks():
            _expect(0 <= place.arena < len(plan.heights), f"{what} is in arena {place.arena}, which does not exist")
            height, stop = plan.heights[place.arena], place.offset + size
            inside = place.offset >= 0 and stop <= height
            _expect(inside, f"{what} from {place.offset:,} to {stop:,} leaves its arena of {height:,} bytes")
            blocks[place.arena].append((place.offset, stop))
        self.arenas = [_Arena(height, ranges) for height, ranges in zip(plan.heights, blocks, strict=True)]

    def _blocks(self) -> list[tuple[str, int, Placement]]:
        tensors = [
            (f"tensor '{self.graph.tensors[t].name}'", self.graph.tensors[t].nbytes, place)
            for t, place in self.places.items()
        ]
        return tensors + [(f"scratch of operator {s.op}", s.size, s.placement) for s in self.plan.scratch]

    def run(self) -> None:
        """Fill the inputs, run each operator, and find the outputs intact."""
        for index in self.graph.given:
            self.write_tensor(index)
        for index in self.graph.given:
            self.check_tensor(index, "the start")
        for step, op in enumerate(self.plan.schedule.order):
            self.execute(self.graph.ops[op], f"step {step}, {self.graph.ops[op].label}")
        for index in self.graph.outputs:
            self.check_tensor(index, "the end")

    def execute(self, op: Op, where: str) -> None:
        """Outputs and scratch are written while inputs are still being read: all must be intact together.

        An operand that the result may be written over must be intact until then.
        """
        given_up = self.given_up(op)
        for tensor in given_up:
            self.check_tensor(tensor, where)
        scratch = [(k, s) for k, s in enumerate(self.plan.scratch) if s.op == op.id]
        for k, block in scratch:
            self.write(block.placement, block.size, len(self.graph.tensors) + k)
        for index in op.outputs:
            self.write_tensor(index)
        for k, block in scratch:
            self.check(block.placement, block.size, len(self.graph.tensors) + k, where)
        for tensor in chain((i for i in op.inputs if i is not None and i not in given_up), op.outputs):
            self.check_tensor(tensor, where)

    def given_up(self, op: Op) -> tuple[TensorId, ...]:
        """The operands over which the operator may write its result, and does."""
        if not self.in_place:
            return ()
        return tuple(
            operand.id
            for operand in self.graph.operands(op)
            for result in self.graph.results(op)
            if operand is not None
            and _bears_sharing(op, operand, result)
            and self.places.get(operand.id) == self.places.get(result.id)
        )

    def place_of(self, index: TensorId, where: str) -> Placement | None:
        tensor = self.graph.tensors[index]
        if not tensor.in_arena:
            return None
        _expect(index in self.places, f"{where}: tensor '{tensor.name}' has no place")
        return self.places[index]

    def write_tensor(self, index: TensorId) -> None:
        place = self.place_of(index, "writing")
        if place is not None:
            self.write(place, self.graph.tensors[index].nbytes, index)

    def check_tensor(self, index: TensorId, where: str) -> None:
        place = self.place_of(index, where)
        if place is not None:
            self.check(place, self.graph.tensors[index].nbytes, index, where)

    def write(self, place: Placement, size: int, owner: int) -> None:
        self.arenas[place.arena].write(place.offset, place.offset + size, owner)

    def check(self, place: Placement, size: int, owner: int, where: str) -> None:
        intruder = self.arenas[place.arena].intruder(place.offset, place.offset + size, owner)
        if intruder is not None:
            raise InternalError(f"{where}: {self.describe(owner)} was overwritten by {self.describe(intruder)}")

    def describe(self, owner: int) -> str:
        if owner < 0:
            return "nothing (it was never written)"
        if owner < len(self.graph.tensors):
            return f"tensor '{self.graph.tensors[owner].name}'"
        return f"scratch of operator {self.plan.scratch[owner - len(self.graph.tensors)].op}"


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise InternalError(what)
