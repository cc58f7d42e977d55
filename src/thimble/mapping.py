# SPDX-License-Identifier: Apache-2.0
"""Tensor memory mapping: what each operator needs in memory while it runs, and why the peak is where it is.

Source: Sudharsan et al., "Enabling Machine Learning on the Edge Using SRAM Conserving Efficient Neural
Networks Execution Approach", ECML PKDD 2021, section 3.1 (input, output and other tensors per operator).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from thimble.ir import Graph, Kind, Op, OpId, TensorId, short_name
from thimble.lifetime import lifetimes, live_sums
from thimble.memory import Interval, Schedule


@dataclass(frozen=True, slots=True)
class OperatorMemory:
    """Bytes while one operator runs; other tensors are live ones that it neither reads nor writes."""

    step: int
    op: OpId
    kind: str
    name: str
    input_bytes: int
    output_bytes: int
    other_bytes: int
    scratch_bytes: int

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

    def live(self, row: OperatorMemory) -> tuple[TensorId, ...]:
        """The tensors live while an operator runs. Linear in the tensors."""
        return tuple(tensor for tensor, life in self.lifetimes if life.start <= row.step < life.stop)

    def others(self, row: OperatorMemory) -> tuple[TensorId, ...]:
        """The live tensors that an operator neither reads nor writes."""
        op = self.graph.ops[row.op]
        return tuple(tensor for tensor in self.live(row) if tensor not in op.inputs and tensor not in op.outputs)

    @property
    def variable_bytes(self) -> int:
        """Bytes of variables: they hold their value between inferences and are not in the peak."""
        return sum(t.nbytes for t in self.graph.tensors if t.kind is Kind.VARIABLE)

    def why(self) -> str:
        """One sentence on what makes the peak."""
        peak = self.peak
        return "The graph has no operators." if peak is None else _explain(self, peak)


def map_memory(
    graph: Graph, schedule: Schedule, scratch: Mapping[OpId, int] | None = None, *, keep_inputs: bool = False
) -> MemoryMap:
    """Map a graph under a schedule.

    Args:
        graph: the graph.
        schedule: an order of all of its operators.
        scratch: bytes that an operator needs besides its tensors, for a given target's kernels.
        keep_inputs: the caller's input must survive the inference.
    """
    lives = lifetimes(graph, schedule, keep_inputs=keep_inputs)
    sums = live_sums(((life, graph.tensors[t].nbytes) for t, life in lives.items()), len(schedule.order))
    rows = [
        _row(graph, graph.ops[index], step, live, lives, (scratch or {}).get(index, 0))
        for step, (index, live) in enumerate(zip(schedule.order, sums, strict=True))
    ]
    return MemoryMap(graph, schedule, tuple(rows), tuple(lives.items()))


def _row(graph: Graph, op: Op, step: int, live: int, lives: Collection[TensorId], scratch: int) -> OperatorMemory:
    inputs = sum(graph.tensors[t].nbytes for t in dict.fromkeys(op.inputs) if t is not None and t in lives)
    outputs = sum(graph.tensors[t].nbytes for t in dict.fromkeys(op.outputs) if t in lives)
    return OperatorMemory(step, op.id, op.kind, op.name, inputs, outputs, live - inputs - outputs, scratch)


def _explain(memory: MemoryMap, peak: OperatorMemory) -> str:
    graph = memory.graph
    here = f"{peak.kind} '{short_name(peak.name)}'"
    others = memory.others(peak)
    if not others:
        parts = "input and output" + (" and scratch" if peak.scratch_bytes else "")
        return f"{here} needs its {parts} at once and nothing else is live: no order of operators can lower this peak."
    held = max(others, key=lambda t: graph.tensors[t].nbytes)
    text = f"'{short_name(graph.tensors[held].name)}' ({graph.tensors[held].nbytes:,} B)"
    return f"{here} holds {len(memory.live(peak))} tensors because {_why_held(memory, peak, held, text)}."


def _why_held(memory: MemoryMap, peak: OperatorMemory, held: TensorId, name: str) -> str:
    later = [row.step - peak.step for row in memory.operators[peak.step :] if held in memory.graph.ops[row.op].inputs]
    if not later:
        if memory.graph.tensors[held].kind is Kind.INPUT and held not in memory.graph.outputs:
            return f"the input {name} is kept, though nothing reads it any more"
        return f"the output {name} stays to the end"
    distance = f"{later[-1]} operator{'s' if later[-1] > 1 else ''} later"
    if memory.graph.tensors[held].kind is Kind.INPUT and len(later) == 1:
        return f"the input {name} waits to be read {distance}"
    return f"{name} is read again {distance}"
