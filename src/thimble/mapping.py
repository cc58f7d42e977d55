# SPDX-License-Identifier: Apache-2.0
"""Tensor memory mapping: what each operator needs in memory while it runs, and why the peak is where it is.

Source: Sudharsan et al., "Enabling Machine Learning on the Edge Using SRAM Conserving Efficient Neural
Networks Execution Approach", ECML PKDD 2021, section 3.1 (input, output and other tensors per operator).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thimble.ir import Graph, Kind, Op, OpId, TensorId, short_name
from thimble.lifetime import lifetimes
from thimble.memory import Interval, Schedule


@dataclass(frozen=True, slots=True)
class OperatorMemory:
    """Bytes while one operator runs. `others` are the live tensors that it neither reads nor writes."""

    step: int
    op: OpId
    kind: str
    name: str
    input_bytes: int
    output_bytes: int
    other_bytes: int
    scratch_bytes: int
    others: tuple[TensorId, ...]

    @property
    def total_bytes(self) -> int:
        return self.input_bytes + self.output_bytes + self.other_bytes + self.scratch_bytes


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """One graph under one schedule, operator by operator in execution order."""

    graph: Graph
    schedule: Schedule
    operators: tuple[OperatorMemory, ...]
    lifetimes: tuple[tuple[TensorId, Interval], ...]

    @property
    def peak(self) -> OperatorMemory | None:
        """The (first) operator with the largest total; None for a graph without operators."""
        return max(self.operators, key=lambda row: row.total_bytes, default=None)

    @property
    def peak_bytes(self) -> int:
        peak = self.peak
        return 0 if peak is None else peak.total_bytes

    @property
    def variable_bytes(self) -> int:
        """Bytes of variables: they hold their value between inferences and are not in the peak."""
        return sum(t.nbytes for t in self.graph.tensors if t.kind is Kind.VARIABLE)

    def why(self) -> str:
        """One sentence on what makes the peak."""
        peak = self.peak
        return "The graph has no operators." if peak is None else _explain(self, peak)


def map_memory(graph: Graph, schedule: Schedule, scratch: Mapping[OpId, int] | None = None) -> MemoryMap:
    """Map a graph under a schedule.

    Args:
        graph: the graph.
        schedule: an order of all of its operators.
        scratch: bytes that an operator needs besides its tensors, for a given target's kernels.
    """
    lives = lifetimes(graph, schedule)
    starting: dict[int, list[TensorId]] = {}
    for tensor, life in lives.items():
        starting.setdefault(life.start, []).append(tensor)
    live: set[TensorId] = set()
    rows = []
    for step, index in enumerate(schedule.order):
        live.update(starting.get(step, ()))
        live = {t for t in live if lives[t].stop > step}
        rows.append(_row(graph, graph.ops[index], step, live, (scratch or {}).get(index, 0)))
    return MemoryMap(graph, schedule, tuple(rows), tuple(lives.items()))


def _row(graph: Graph, op: Op, step: int, live: set[TensorId], scratch: int) -> OperatorMemory:
    inputs = {i for i in op.inputs if i is not None} & live
    outputs = set(op.outputs) & live
    others = live - inputs - outputs

    def total(tensors: set[TensorId]) -> int:
        return sum(graph.tensors[t].nbytes for t in tensors)

    return OperatorMemory(
        step, op.id, op.kind, op.name, total(inputs), total(outputs), total(others), scratch, tuple(sorted(others))
    )


def _explain(memory: MemoryMap, peak: OperatorMemory) -> str:
    graph = memory.graph
    here = f"{peak.kind} '{short_name(peak.name)}'"
    if not peak.others:
        parts = "input and output" + (" and scratch" if peak.scratch_bytes else "")
        return f"{here} needs its {parts} at once and nothing else is live: no order of operators can lower this peak."
    count = sum(life.start <= peak.step < life.stop for _, life in memory.lifetimes)
    held = max(peak.others, key=lambda t: graph.tensors[t].nbytes)
    text = f"'{short_name(graph.tensors[held].name)}' ({graph.tensors[held].nbytes:,} B)"
    return f"{here} holds {count} tensors because {_why_held(memory, peak, held, text)}."


def _why_held(memory: MemoryMap, peak: OperatorMemory, held: TensorId, name: str) -> str:
    later = [row.step for row in memory.operators[peak.step :] if held in memory.graph.ops[row.op].inputs]
    if later and memory.graph.tensors[held].kind is Kind.INPUT and len(later) == 1:
        return f"the input {name} waits to be read {later[0] - peak.step} operators later"
    if later:
        return f"{name} is read again {later[-1] - peak.step} operators later"
    return f"{name} is an output of the model and stays to the end"
