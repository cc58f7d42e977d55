# SPDX-License-Identifier: Apache-2.0
"""Values about memory: lifetimes, the packing problem and its solution, schedules, plans.

Time is counted in schedule steps; a lifetime is half-open, `[start, stop)`. Offsets are bytes from the
start of an arena. The packer sees a `Problem` and nothing else:

    bytes
      ^   +-----------+
      |   | b         |        height = top of the highest buffer
      |   +-----+-----+---+    live sum at a step = sizes of the buffers live there
      |   | a   |   | c   |    peak = largest live sum, a lower bound on the height
      +---+-----+---+-----+--> steps
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from thimble.ir import Graph, OpId, TensorId

BufferId = NewType("BufferId", int)

OFFLINE_PLAN = "OfflineMemoryAllocation"
"""Name of the metadata in which a `.tflite` brings a memory plan for TFLM: an offset per tensor, or `ONLINE`."""
ONLINE = -1
"""In such a plan: an offset that TFLM's own planner is to find."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open range of schedule steps."""

    start: int
    stop: int

    def overlaps(self, other: Interval) -> bool:
        return self.start < other.stop and other.start < self.stop


@dataclass(frozen=True, slots=True)
class Buffer:
    """A block to be placed: `size` bytes at a multiple of `alignment` during `lifetime`.

    `gaps` are parts of the lifetime where the buffer is idle and its bytes may serve others.
    `offset` fixes the place. `arenas` lists the arenas allowed (indices), empty for all.
    """

    id: BufferId
    size: int
    lifetime: Interval
    alignment: int = 1
    gaps: tuple[Interval, ...] = ()
    offset: int | None = None
    arenas: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Distance:
    """Pairwise minimum distance: `late` may start `least` bytes after the start of `early`, or end before it.

    `least` may be smaller than the size of `early` although both live (rung 4, overlap); without an entry a
    pair that lives together must not overlap.
    """

    early: BufferId
    late: BufferId
    least: int


@dataclass(frozen=True, slots=True)
class Arena:
    """One contiguous block that buffers are placed in; `capacity` None means as large as needed."""

    name: str
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Dynamic storage allocation, integers only: what the packer sees."""

    buffers: tuple[Buffer, ...]
    arenas: tuple[Arena, ...] = (Arena("arena"),)
    distances: tuple[Distance, ...] = ()


@dataclass(frozen=True, slots=True)
class Solution:
    """Offsets per buffer (in the problem's order) with the certificate: height against the lower bound."""

    offsets: tuple[int, ...]
    height: int
    lower_bound: int
    method: str
    nodes: int = 0
    arenas: tuple[int, ...] = ()

    @property
    def proven(self) -> bool:
        return self.height == self.lower_bound


@dataclass(frozen=True, slots=True)
class Infeasible:
    """Does not fit, as a value: an irreducible set of buffers that clash, and by how many bytes."""

    witness: tuple[BufferId, ...]
    excess: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """A topological order of a graph's operators, with its certificate."""

    order: tuple[OpId, ...]
    method: str = "shipped"
    peak: int | None = None
    lower_bound: int | None = None
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a tensor's bytes are: arena index and offset."""

    arena: int
    offset: int


@dataclass(frozen=True, slots=True)
class Scratch:
    """Bytes that an operator needs only while it runs, and where they are."""

    op: OpId
    size: int
    placement: Placement


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph in an order, every arena tensor and scratch block at its place."""

    graph: Graph
    schedule: Schedule
    placements: tuple[tuple[TensorId, Placement], ...]
    scratch: tuple[Scratch, ...]
    heights: tuple[int, ...]
