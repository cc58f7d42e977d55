# SPDX-License-Identifier: Apache-2.0
"""A program on a board whose memories hold what the placement says: several arenas, and a section for all else.

Program ─program_setting→ Setting ─placed_best→ Placed ─moved→ Program with a layout

Tensors move with the bytes that they share with others, so that the program stays what it was but for addresses.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from thimble.board import Board
from thimble.emit import emit, identifier
from thimble.emulation.build import Bundle, code_sizes
from thimble.emulation.machines import machine_for
from thimble.errors import OptionError
from thimble.host import interface_of
from thimble.layout import Bank, Layout, PlacedPart, Section, SectionKind, Span
from thimble.lower import SCRATCH_ALIGNMENT
from thimble.place_board import Objective, Placed, banks_of, pairs_of, placed_best, program_setting
from thimble.place_parts import BoardMemory, CodeSizes, Part
from thimble.placement import NoRoom
from thimble.program import FLASH, Access, ArenaBlock, Program, Step
from thimble.verify_program import verify_program

_LAYOUT_KINDS: tuple[SectionKind, ...] = ("weights", "code")


def placed_program(
    program: Program, board: Board, objective: Objective, *, keep_inputs: bool = False, flags: Sequence[str] = ("-O2",)
) -> Program:
    """The program with everything in the memory of the board that serves the objective best, verified.

    Args:
        program: of one arena, on any rung.
        board: whose memories there are.
        objective: what is to be least.
        keep_inputs: the caller's inputs survive the inference.
        flags: of the compiler that tells how large the code of each step is; without one, sizes are estimates.

    Raises:
        OptionError: the program cannot be divided, or does not fit the board.
    """
    if any(region.space for region in board.regions):
        raise OptionError(f"--place: {board.name} has one memory for constants and one for data; there is no choice")
    if program.position is not None:
        raise OptionError(
            "--place: a network that takes its rows one by one keeps to one arena; leave --stream-input out"
        )
    setting = program_setting(program, board, sizes=_sizes(program, board, flags), keep_inputs=keep_inputs)
    best = placed_best(setting, objective, pairs_of(setting))
    if isinstance(best, NoRoom):
        missing = f"{best.excess:,} bytes are missing at least" if best.excess else "some part may be in none of them"
        raise OptionError(f"--place: the network does not fit the memories of {board.name}: {missing}")
    result = moved(program, best, objective)
    verify_program(result)
    return result


def _sizes(program: Program, board: Board, flags: Sequence[str]) -> CodeSizes | None:
    """Of code and stack as compiled; None without a compiler for the board."""
    bundle = Bundle(interface_of(program), emit(program))
    try:
        with tempfile.TemporaryDirectory(prefix="thimble-") as folder:
            sizes, stack = code_sizes(Path(folder), bundle, machine_for(board.target), flags=flags)
    except OptionError:
        return None
    return CodeSizes(tuple(sizes.get(step, 0) for step in range(len(program.steps))), stack)


def moved(program: Program, placed: Placed, objective: Objective) -> Program:
    """The program with its tensors, work spaces, constants and code where a placement of its parts has them."""
    setting, result = placed.setting, placed.result
    names = _names(setting.memories)
    where = list(zip(setting.parts.parts, result.memories, result.offsets, strict=True))
    used = sorted({memory for part, memory, _ in where if part.lifetime is not None})
    if len(used) == 1 and program.arena_bytes <= result.arenas[used[0]]:
        block = replace(program.arenas[0], name=names[used[0]], section=f".{program.name}_arena_{names[used[0]]}")
        return replace(program, arenas=(block,), layout=_layout(program, placed, objective, names))
    arena_of = {memory: number for number, memory in enumerate(used)}
    below = [top - arena for top, arena in zip(result.used, result.arenas, strict=True)]

    places = dict(program.places)
    deltas = {}
    spaces = {}
    for part, memory, offset in where:
        for tensor in part.tensors:
            deltas[tensor] = arena_of[memory], offset - below[memory] - part.start
        if part.kind == "scratch" and part.step is not None:
            spaces[part.step] = arena_of[memory], offset - below[memory]

    def access(old: Access) -> Access:
        if old.arena == FLASH:
            return old
        arena, delta = deltas.get(old.view.tensor.id, (0, -old.start))  # without bytes it may be anywhere
        return replace(old, arena=arena, offset=old.offset + delta)

    def step(number: int, old: Step) -> Step:
        scratch = None if old.scratch is None else spaces[number]
        return replace(old, reads=tuple(map(access, old.reads)), writes=tuple(map(access, old.writes)), scratch=scratch)

    alignment = max(SCRATCH_ALIGNMENT, *(arena.alignment for arena in program.arenas))
    return replace(
        program,
        arenas=tuple(
            ArenaBlock(names[m], result.arenas[m], alignment, f".{program.name}_arena_{names[m]}") for m in used
        )
        or program.arenas,
        steps=tuple(step(number, old) for number, old in enumerate(program.steps)),
        places=tuple((t, (deltas[t][0], places[t][1] + deltas[t][1])) for t in places if t in deltas),
        layout=_layout(program, placed, objective, names),
    )


def _layout(program: Program, placed: Placed, objective: Objective, names: Sequence[str]) -> Layout:
    setting, result = placed.setting, placed.result
    memories = setting.memories
    rows = list(zip(setting.parts.parts, result.memories, result.homes, strict=True))
    sections: dict[str, Section] = {}
    of_step = {kind: [""] * len(program.steps) for kind in _LAYOUT_KINDS}
    stack = ""
    for part, memory, home in rows:
        section = _section(program.name, part, names[memory], "" if home in (None, memory) else names[home or 0])
        if section is not None:
            sections.setdefault(section.name, section)
        if part.step is not None and section is not None and section.kind != "arena":
            of_step[section.kind][part.step] = section.name
        stack = names[memory] if part.kind == "stack" else stack
    return Layout(
        objective=objective,
        latency_ms=placed.latency_ms,
        energy_uj=placed.energy_uj,
        memories=tuple(
            Span(name, memory.name, memory.like.address, memory.bytes)
            for name, memory, used in zip(names, memories, result.used, strict=True)
            if used
        ),
        sections=tuple(sections[name] for name in sorted(sections)),
        weights=tuple(of_step["weights"]),
        code=tuple(of_step["code"]),
        stack=stack,
        banks=tuple(_banks(placed)),
        parts=tuple(
            PlacedPart(p.name, p.kind, memories[m].name, p.size, "" if h in (None, m) else memories[h or 0].name)
            for p, m, h in rows
        ),
    )


def _section(program: str, part: Part, memory: str, home: str) -> Section | None:
    """Where the linker puts a part; the stack is the user's."""
    if part.kind == "stack":
        return None
    if part.lifetime is not None:
        return Section(f".{program}_arena_{memory}", "arena", memory)
    kind: SectionKind = "code" if part.kind == "code" else "weights"
    return Section(f".{program}_{kind}_{memory}{f'_from_{home}' if home else ''}", kind, memory, home)


def _banks(placed: Placed) -> Iterator[Bank]:
    for memory, on in zip(placed.setting.memories, placed.result.banks, strict=True):
        start = memory.like.address
        for number, (region, size) in enumerate(banks_of(memory)):
            if region.bank_size is not None:
                yield Bank(region.name, start, size, number < on)
            start += size


def _names(memories: Sequence[BoardMemory]) -> tuple[str, ...]:
    """Identifiers for memories, in C and for linkers."""
    found: list[str] = []
    for number, memory in enumerate(memories):
        name = identifier(memory.name)
        found.append(f"{name}_{number}" if name in found else name)
    return tuple(found)
