# SPDX-License-Identifier: Apache-2.0
"""What is to be placed on a board: the parts of a program or of a runtime's build, and their price in each memory.

Thimble's programs come apart into the constants and the code of each step, each tensor (or alias class), each work
space and the stack. Of other runtimes the model, the code and the arena are one part each: they cannot be divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from thimble import cost
from thimble.board import Board, Region
from thimble.cost import Price, Work
from thimble.instructions import Traffic
from thimble.ir import Model, Tensor, short_name
from thimble.lower import SCRATCH_ALIGNMENT
from thimble.memory import Interval
from thimble.placement import Kind
from thimble.program import FLASH, Access, Program, Step
from thimble.runtimes import core_named, runtime_named, runtime_work
from thimble.target import target_named
from thimble.tflm import predict
from thimble.tflm.code_size import runtime_flash

_DATA: tuple[Kind, ...] = ("tensor", "scratch", "stack")
_NO_MEMORY = ("weights", "eeprom")  # an accelerator's own, and what is not reached by address


@dataclass(frozen=True, slots=True)
class BoardMemory:
    """Regions that follow one another at adjacent addresses and are alike: for a placement they are one memory."""

    regions: tuple[Region, ...]

    @property
    def name(self) -> str:
        first, last = self.regions[0].name, self.regions[-1].name
        return first if first == last else f"{first}..{last}"

    @property
    def like(self) -> Region:
        """What an access takes."""
        return self.regions[0]

    @property
    def bytes(self) -> int:
        return sum(region.bytes for region in self.regions)

    @property
    def lasting(self) -> bool:
        return not self.like.volatile


@dataclass(frozen=True, slots=True)
class Part:
    """What is placed as one, with its price per memory of the board; None where it may not be.

    `step` is whose constants, code or work space it is; `tensors` are those of a slice of the arena that began at
    `start`.
    """

    name: str
    kind: Kind
    size: int
    prices: tuple[Price | None, ...]
    lifetime: Interval | None = None
    alignment: int = 1
    step: int | None = None
    tensors: tuple[int, ...] = ()
    start: int = 0

    @property
    def lasting(self) -> bool:
        return self.kind in ("weights", "code")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything to be placed; `base` is what the instructions take from memories that never wait."""

    parts: tuple[Part, ...]
    base: Price
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Use:
    """Words that a step reads and writes of something, whose size is `size` bytes."""

    reads: float
    writes: float
    size: int


def memories_of(board: Board) -> tuple[BoardMemory, ...]:
    """The memories of a board, those on the chip first, by address; an accelerator's own are left out."""
    groups: list[list[Region]] = []
    usable = [r for r in board.regions if r.kind not in _NO_MEMORY]
    for region in sorted(usable, key=lambda r: (r.external, r.space, r.address)):
        if groups and _continues(groups[-1][-1], region):
            groups[-1].append(region)
        else:
            groups.append([region])
    return tuple(BoardMemory(tuple(group)) for group in groups)


def _continues(low: Region, high: Region) -> bool:
    adjacent = low.space == high.space and low.address + low.bytes == high.address
    return adjacent and access_of(low) == access_of(high) and (low.bank_size is None) == (high.bank_size is None)


def access_of(region: Region) -> tuple[object, ...]:
    """All that an access to a region depends on, its address apart."""
    figures = (
        region.width_bits,
        region.read_cycles,
        region.write_cycles,
        region.read_energy,
        region.write_energy,
        region.cache_bytes,
        region.line_bytes,
    )
    values = tuple(None if figure is None else figure.value for figure in figures)
    return region.kind, region.volatile, region.executable, region.external, *values


def may_hold(board: Board, memory: BoardMemory, kind: Kind) -> bool:
    """Whether things of a kind may be in a memory.

    Activations never in what keeps its bytes without power; code where it can be executed in place; on Harvard machines
    constants and code where the program is.
    """
    region = memory.like
    if kind in _DATA:
        return region.volatile and region.kind != "itcm"
    program = {r.space for r in board.storage}
    return (not program or region.space in program) and (region.executable if kind == "code" else region.kind != "itcm")


@dataclass(frozen=True, slots=True)
class CodeSizes:
    """Bytes of each step's code, and of the stack, as compiled."""

    steps: tuple[int, ...]
    stack: int


def program_parts(
    program: Program,
    board: Board,
    memories: Sequence[BoardMemory],
    *,
    sizes: CodeSizes | None = None,
    keep_inputs: bool = False,
) -> Parts:
    """The parts of a compiled program; without `sizes` those of code and stack are estimates."""
    works = cost.work_of(program, board)
    known = sizes or CodeSizes((cost.CODE_BYTES,) * len(program.steps), cost.STACK_BYTES)
    parts = (
        *_step_parts(program, works, board, memories, known),
        *_tensor_parts(program, works, board, memories, keep_inputs),
        _stack(works, board, memories, known.stack),
    )
    notice = f"code counts {cost.CODE_BYTES} B per step and the stack {cost.STACK_BYTES} B: estimates"
    return _without_code(Parts(parts, _base(works, board), () if sizes else (notice,)), board, memories)


def runtime_parts(model: Model, board: Board, runtime: str, memories: Sequence[BoardMemory]) -> Parts:
    """The parts of another runtime's build: its sizes are those of TFLM.

    Raises:
        OptionError: no such runtime, or not for that core.
    """
    chosen, target = runtime_named(runtime), target_named(board.target)
    graph = model.main
    works = [Work(op.id, *runtime_work(graph, op, chosen, board.target)) for op in graph.ops]
    allocation = predict(model, target)
    code, notices = runtime_flash(model, target)

    def part(name: str, kind: Kind, size: int, price: Callable[[Work, BoardMemory], Price]) -> Part:
        legal = [_summed(price(w, m) for w in works) if may_hold(board, m, kind) else None for m in memories]
        alignment = 16 if kind == "tensor" else 1
        return Part(name, kind, _up(size, alignment), tuple(legal), None, alignment)

    def constants(w: Work, m: BoardMemory) -> Price:
        return cost.constants_price(board, m.like, w.traffic.constant_reads, w.constant_bytes)

    def arena(w: Work, m: BoardMemory) -> Price:
        return _arena(board, m, _Use(w.traffic.arena_reads, w.traffic.arena_writes, w.arena_bytes))

    def fetched(w: Work, m: BoardMemory) -> Price:
        return cost.code_price(board, m.like, w.traffic.instructions)

    parts = (
        part("model", "weights", model.size_bytes, constants),
        part("tensor arena", "tensor", allocation.smallest_arena_bytes, arena),
        part("code", "code", code, fetched),
        _stack(works, board, memories),
    )
    return _without_code(Parts(parts, _base(works, board), notices), board, memories)


def _without_code(parts: Parts, board: Board, memories: Sequence[BoardMemory]) -> Parts:
    """Without code where no memory of the board can execute it: an accelerator brings its own."""
    if any(may_hold(board, m, "code") for m in memories):
        return parts
    kept = tuple(part for part in parts.parts if part.kind != "code")
    return Parts(kept, parts.base, (*parts.notices, f"no memory of {board.name} holds code, so that none is placed"))


def _step_parts(
    program: Program, works: Sequence[Work], board: Board, memories: Sequence[BoardMemory], sizes: CodeSizes
) -> Iterator[Part]:
    for number, (step, work, life) in enumerate(zip(program.steps, works, steps_of(program), strict=True)):
        if step.is_view:
            continue
        name = f"{program.graph.ops[step.op].kind} #{step.op} {short_name(program.graph.ops[step.op].name)}"
        t = work.traffic
        if work.constant_bytes:
            prices = [
                cost.constants_price(board, m.like, t.constant_reads, work.constant_bytes)
                if may_hold(board, m, "weights")
                else None
                for m in memories
            ]
            yield Part(f"weights of {name}", "weights", _up(work.constant_bytes, 4), tuple(prices), None, 4, number)
        fetches = [
            cost.code_price(board, m.like, t.instructions) if may_hold(board, m, "code") else None for m in memories
        ]
        yield Part(f"code of {name}", "code", _up(sizes.steps[number], 4), tuple(fetches), None, 4, number)
        if step.scratch is not None:
            use = _uses(step, t)[-1]
            spaces = [_arena(board, m, use) if may_hold(board, m, "scratch") else None for m in memories]
            size = _up(step.call.scratch, SCRATCH_ALIGNMENT)
            yield Part(f"work space of {name}", "scratch", size, tuple(spaces), life, SCRATCH_ALIGNMENT, number)


def _tensor_parts(
    program: Program, works: Sequence[Work], board: Board, memories: Sequence[BoardMemory], keep_inputs: bool
) -> Iterator[Part]:
    groups = slices(program, keep_inputs=keep_inputs)
    group_of = {tensor: number for number, group in enumerate(groups) for tensor in group.tensors}
    uses: list[list[_Use]] = [[] for _ in groups]
    for step, work in zip(program.steps, works, strict=True):
        touched = [a for a in (*step.reads, *step.writes) if a.arena != FLASH]
        for access, use in zip(touched, _uses(step, work.traffic), strict=False):
            if access.view.tensor.nbytes:
                uses[group_of[access.view.tensor.id]].append(use)
    for group, used in zip(groups, uses, strict=True):
        prices = [
            _summed(_arena(board, m, use) for use in used) if may_hold(board, m, "tensor") else None for m in memories
        ]
        names = [short_name(program.graph.tensors[tensor].name) for tensor in group.tensors]
        name = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} in its place"
        size, alignment = _up(group.size, SCRATCH_ALIGNMENT), SCRATCH_ALIGNMENT
        mine = (None, group.tensors, group.start)
        yield Part(f"tensor {name}", "tensor", size, tuple(prices), group.lifetime, alignment, *mine)


def _uses(step: Step, traffic: Traffic) -> list[_Use]:
    """How a step's traffic falls on what it reads, then what it writes, then its work space: by their bytes."""
    reads = [a.view.nbytes for a in step.reads if a.arena != FLASH]
    writes = [a.view.nbytes for a in step.writes if a.arena != FLASH]
    space = step.call.scratch
    read, written = max(1, sum(reads) + space), max(1, sum(writes) + space)
    return [
        *(_Use(traffic.arena_reads * n / read, 0.0, n) for n in reads),
        *(_Use(0.0, traffic.arena_writes * n / written, n) for n in writes),
        _Use(traffic.arena_reads * space / read, traffic.arena_writes * space / written, space),
    ]


@dataclass(frozen=True, slots=True)
class Slice:
    """Tensors that share bytes while they live, and so stay together: bytes from the first to the last one's end."""

    tensors: tuple[int, ...]
    start: int
    size: int
    lifetime: Interval


def steps_of(program: Program) -> tuple[Interval, ...]:
    """When each step runs; those of a stream run all the time from its first to its last."""
    whole = [Interval(number, number + 1) for number in range(len(program.steps))]
    for stream in program.streams:
        whole[stream.first : stream.end] = [Interval(stream.first, stream.end)] * (stream.end - stream.first)
    return tuple(whole)


def slices(program: Program, *, keep_inputs: bool = False) -> tuple[Slice, ...]:
    """The arena's tensors, those together that the program lets share bytes at one step.

    They start where any element may, so that moving them leaves all tensors aligned.
    """
    lives, rings, places = _lives(program, keep_inputs), dict(program.rings), dict(program.places)
    roots = {tensor: place.root for tensor, place in program.slices}
    groups: dict[int, Slice] = {}  # a tensor with its parts
    for tensor in places:
        if tensor in lives:
            root = roots.get(tensor, tensor)
            (_, offset), size = places[root], _bytes_kept(program.graph.tensors[root], rings.get(root))
            before = offset % SCRATCH_ALIGNMENT
            mine = Slice((tensor,), offset - before, size + before, lives[tensor])
            groups[root] = _joined(groups[root], mine) if root in groups else mine
    merged = list(groups.values())
    while (fewer := _merged(merged)) != merged:
        merged = fewer
    return tuple(merged)


def _merged(slices: Sequence[Slice]) -> list[Slice]:
    """Each slice joined with the first one that it shares bytes with, in the order of their birth."""
    groups: list[Slice] = []
    for one in sorted(slices, key=lambda s: (s.lifetime.start, s.start)):
        number = next((n for n, other in enumerate(groups) if _share(one, other)), None)
        if number is None:
            groups.append(one)
        else:
            groups[number] = _joined(groups[number], one)
    return groups


def _share(one: Slice, other: Slice) -> bool:
    apart = one.start + one.size <= other.start or other.start + other.size <= one.start
    return not apart and one.lifetime.overlaps(other.lifetime)


def _joined(one: Slice, other: Slice) -> Slice:
    start = min(one.start, other.start)
    end = max(one.start + one.size, other.start + other.size)
    life = Interval(min(one.lifetime.start, other.lifetime.start), max(one.lifetime.stop, other.lifetime.stop))
    return Slice((*one.tensors, *other.tensors), start, end - start, life)


def _bytes_kept(tensor: Tensor, rows: int | None) -> int:
    return tensor.nbytes if rows is None else rows * tensor.nbytes // tensor.shape[1]


def _lives(program: Program, keep_inputs: bool = False) -> dict[int, Interval]:
    """Steps from a tensor's first to its last use; inputs from the start, outputs to the end, variables always."""
    when, end = steps_of(program), len(program.steps)
    always = {tensor for tensor, _ in program.variables}
    lives: dict[int, Interval] = {t: Interval(0, max(1, end)) for t in always}

    def seen(tensor: int, start: int, stop: int) -> None:
        old = lives.get(tensor)
        lives[tensor] = Interval(min(old.start, start), max(old.stop, stop)) if old else Interval(start, stop)

    placed = {tensor for tensor, _ in program.places}
    for tensor in program.graph.given:
        if tensor in placed:
            seen(tensor, 0, max(1, end) if keep_inputs else 1)
    for step, interval in zip(program.steps, when, strict=True):
        for access in _touched(step):
            seen(access.view.tensor.id, interval.start, interval.stop)
    for tensor in program.graph.outputs:
        if tensor in placed:
            seen(tensor, end - 1, end)
    return lives


def _touched(step: Step) -> Iterator[Access]:
    return (a for a in (*step.reads, *step.writes) if a.arena != FLASH and a.view.tensor.nbytes)


def _stack(works: Sequence[Work], board: Board, memories: Sequence[BoardMemory], size: int = cost.STACK_BYTES) -> Part:
    uses = [_Use(w.traffic.stack / 2, w.traffic.stack / 2, size) for w in works]
    prices = [_summed(_arena(board, m, use) for use in uses) if may_hold(board, m, "stack") else None for m in memories]
    return Part("stack", "stack", _up(size, 8), tuple(prices), None, 8)


def _arena(board: Board, memory: BoardMemory, use: _Use) -> Price:
    return cost.arena_price(board, memory.like, use.reads, use.writes, use.size)


def _base(works: Sequence[Work], board: Board) -> Price:
    return Price(sum(w.traffic.instructions for w in works) * core_named(board.target).cycles_per_instruction.value)


def _summed(prices: Iterable[Price]) -> Price:
    return sum(prices, Price(0.0))


def _up(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
