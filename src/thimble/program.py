# SPDX-License-Identifier: Apache-2.0
"""The low-level IR: kernel calls on byte ranges of named arenas. Addresses, and no choices left.

What the verifier runs, the cost model prices and the emitter prints; nothing else is emitted. On rungs 0 to 2 a tensor
is one dense block, and every call is one step. Where a tensor's bytes are is said per access, so that a step of a
higher rung can see the same tensor elsewhere.
"""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, field

from thimble.ir import Graph, OpId, Tensor, TensorId
from thimble.kernel import KernelCall, Slice, View
from thimble.layout import Layout
from thimble.memory import Schedule

FLASH = -1
"""In place of an arena's index: the bytes are a constant."""
POSITION_BYTES = 12
"""Where an inference that waits for the application stands: three integers of four bytes."""


@dataclass(frozen=True, slots=True)
class ArenaBlock:
    """One contiguous block that the bundle needs; the caller may supply it. `section` is the linker's, "" for any."""

    name: str
    size: int
    alignment: int
    section: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes that a step reads or writes: a part of a tensor, whose first byte is at `offset` of the arena."""

    view: View
    arena: int
    offset: int

    @property
    def start(self) -> int:
        """Where the first element is, in bytes from the arena's start."""
        return self.offset + self.view.offset


class ByRow(enum.Enum):
    """How a step computes one row of its result at a time, if it does."""

    NO = "no"
    KERNEL = "kernel"  # the kernel is told which row; its parameters know the rings
    POINTERS = "pointers"  # the call is for a single row; what it reads and writes moves


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel call with its addresses; `scratch` is (arena, offset) of its work space."""

    op: OpId
    call: KernelCall
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]
    scratch: tuple[int, int] | None = None
    by_row: ByRow = ByRow.NO

    @property
    def is_view(self) -> bool:
        """Whether nothing is to be done: a copy onto itself."""
        if self.call.kernel != "copy" or self.by_row is not ByRow.NO:
            return False
        (read,), (write,) = self.reads, self.writes
        return self.call.view or (read.arena != FLASH and (read.arena, read.start) == (write.arena, write.start))


@dataclass(frozen=True, slots=True)
class Stream:
    """Operators that run row by row: the steps from `first` on, `members[m]` of them for operator m.

    `order` names the operators one after another; each time, an operator computes the next row of its result,
    from the first or, descending, from the last; or that of `rows`, where rows are computed more than once.
    """

    first: int
    members: tuple[int, ...]
    order: tuple[int, ...] = field(repr=False)
    descending: bool = False
    rows: tuple[int, ...] = field(default=(), repr=False)

    @property
    def starts(self) -> tuple[int, ...]:
        """The first step of each operator."""
        return tuple(itertools.accumulate(self.members[:-1], initial=self.first))

    @property
    def end(self) -> int:
        return self.first + sum(self.members)

    @property
    def turns(self) -> tuple[tuple[int, int], ...]:
        """Per turn the operator and, unless the stream descends, the row that it computes."""
        if self.rows:
            return tuple(zip(self.order, self.rows, strict=True))
        done = [0] * len(self.members)
        found = []
        for member in self.order:
            found.append((member, done[member]))
            done[member] += 1
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Part:
    """What an operator got, or the operators of a segment that runs row by row.

    `work_space` is the most bytes of the arena that one of its calls needs besides tensors; `instructions` are those of
    one inference.
    """

    ops: tuple[OpId, ...]
    kernels: tuple[str, ...]
    work_space: int
    instructions: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Why the kernels are what they are.

    Attributes:
        goal: what was to be made small, a value of `choose.Goal`.
        core: whose instructions were counted.
        machine: where they were counted; None where they are estimates.
        parts: in the order in which they run.
        shared: one copy of each kernel for all its calls takes less flash than one per call.
    """

    goal: str
    core: str
    machine: str | None
    parts: tuple[Part, ...]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A graph as steps. `places` says where each tensor outside flash is: arena and offset of its first byte.

    `variables` are the tensors that keep their values, each with what `init` puts there. `streams` are runs of steps
    that are not executed one after another but row by row. `rings` are the tensors of which only so many rows are
    kept: row y of them is where row y modulo that number was. Of the tensors in `strips` only the columns are there
    that an access names, row after row from where it starts. The tensors in `slices` are parts of others. `position` is
    the offset of `POSITION_BYTES` in the first arena that are taken as long as an inference lasts, where rows are
    handed over. `selection` is for the reader. `layout` says which memory of a board holds what, if that was decided.
    """

    name: str
    graph: Graph
    schedule: Schedule
    arenas: tuple[ArenaBlock, ...]
    steps: tuple[Step, ...]
    places: tuple[tuple[TensorId, tuple[int, int]], ...]
    variables: tuple[tuple[TensorId, bytes], ...] = ()
    streams: tuple[Stream, ...] = ()
    rings: tuple[tuple[TensorId, int], ...] = ()
    strips: tuple[TensorId, ...] = ()
    slices: tuple[tuple[TensorId, Slice], ...] = ()
    position: int | None = None
    selection: Selection | None = None
    layout: Layout | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates that are executed: those of the graph, and those of what is computed again."""
        return self.graph.macs() + sum(self._again(stream) for stream in self.streams if stream.rows)

    def _again(self, stream: Stream) -> int:
        cells: dict[OpId, int] = {}
        for member in stream.order:
            step = self.steps[stream.starts[member]]
            if step.call.accumulates or step.call.hands_over:
                continue
            view = step.writes[0].view
            columns = view.tensor.shape[2] if view.shape is None else view.shape[1]
            cells[step.op] = cells.get(step.op, 0) + columns
        extra = 0
        for index, computed in cells.items():
            op = self.graph.ops[index]
            whole = self.graph.results(op)[0].shape[1] * self.graph.results(op)[0].shape[2]
            extra += op.attrs.macs(self.graph.operands(op), self.graph.results(op)) * (computed - whole) // whole
        return extra

    def place(self, tensor: Tensor) -> tuple[int, int]:
        """Arena and offset of a tensor that is not a constant."""
        return dict(self.places)[tensor.id]

    @property
    def arena_bytes(self) -> int:
        return sum(arena.size for arena in self.arenas)
