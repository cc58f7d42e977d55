# SPDX-License-Identifier: Apache-2.0
"""Which rung to take: the cheapest that fits, climbing only as far as that needs, and the verdict on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from thimble.climb import Built, Compiler, Step, build, compiler_for, linked, main_scratch
from thimble.compile import HIGHEST_RUNG, compile_model, flavour_of
from thimble.errors import UnsupportedOperatorError
from thimble.ir import Model, short_name
from thimble.kernel import Flavour
from thimble.ladder import Clash, Compiled, Limits, Rung, Runtime, Verdict
from thimble.lifetime import shipped_schedule
from thimble.mapping import MemoryMap, map_memory
from thimble.target import Target
from thimble.tflm.code_size import runtime_flash
from thimble.watch import Watch, unwatched, within

FIRST_RUNG = 2
"""The first rung of C code that is considered: those below need as much or more, and cost the same."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to run the model: RAM and flash that it needs, and by how much each is too large."""

    rung: Rung
    runtime: Runtime
    ram_bytes: int
    flash_bytes: int
    exact: bool
    excess: tuple[int, int]

    @property
    def fits(self) -> bool:
        return not any(self.excess)


def cheapest(
    model: Model,
    core: Target,
    limits: Limits,
    flavour: Flavour,
    *,
    name: str | None = None,
    keep_inputs: bool = False,
    watch: Watch = unwatched,
    compiler: Compiler = compile_model,
) -> tuple[Built, str]:
    """The least rung from the second on whose C code fits, and why that one; if none fits, what comes closest.

    Rungs 0 and 1 cost what rung 2 costs, so they are not tried. Sizes of what is returned are as linked, if the
    compiler is installed.

    Raises:
        UnsupportedOperatorError: an operator cannot be compiled.
    """
    tried = _tried(model, core, limits, flavour, name=name, keep_inputs=keep_inputs, watch=watch, compiler=compiler)
    chosen = _closest(list(tried), core, limits)
    number = chosen.rung.rung
    if any(_excess(chosen.compiled, limits)):
        return chosen, f"no rung fits; rung {number} ({chosen.rung.name}) comes closest"
    less = "" if number == FIRST_RUNG else f"; those from {FIRST_RUNG} to {number - 1} do not fit"
    return chosen, f"rung {number} ({chosen.rung.name}) was chosen, the cheapest that fits{less}"


def _tried(
    model: Model,
    core: Target,
    limits: Limits,
    flavour: Flavour,
    *,
    name: str | None = None,
    keep_inputs: bool = False,
    found: bool = False,
    all_rungs: bool = False,
    watch: Watch = unwatched,
    compiler: Compiler = compile_model,
) -> Iterator[Built]:
    """Rungs from the second up to the first that fits, or all. Sizes are known only as far as they decide that.

    With `found` something else fits already: no sizes are needed.
    """
    for number in range(FIRST_RUNG, HIGHEST_RUNG + 1):
        watch(number, HIGHEST_RUNG + 1, f"rung {number}")
        inner = within(watch, number, HIGHEST_RUNG + 1, f"rung {number}")
        built = build(model, number, flavour, name=name, keep_inputs=keep_inputs, compiler=compiler, watch=inner)
        if not found and not any(_excess(built.compiled, limits)):
            built = linked(built, core)
            found = not any(_excess(built.compiled, limits))
        yield built
        if found and not all_rungs:
            return


def _closest(tried: list[Built], core: Target, limits: Limits) -> Built:
    """The one that fits, else the one that exceeds the limits least; with its sizes."""
    best = min(tried, key=lambda built: (sum(_excess(built.compiled, limits)), built.rung.rung))
    return best if best.sizes is not None or best.unknown else linked(best, core)


def _excess(compiled: Compiled, limits: Limits) -> tuple[int, int]:
    return limits.excess(compiled.ram_bytes, compiled.least_flash_bytes)


def judge(
    model: Model,
    steps: tuple[Step, ...],
    device: str,
    limits: Limits,
    core: Target,
    *,
    runtime: Runtime | None = None,
    all_rungs: bool = False,
    watch: Watch = unwatched,
) -> Verdict:
    """Pick the cheapest way to run the model within the limits, and say what is in the way where there is none.

    Stock TFLM comes first where it exists for the core, then C code from rung 2 on.

    Args:
        model: from `pipeline.load`.
        steps: rungs 0 to 2 with stock TFLM, from `climb`.
        device: how a reader calls what the limits are of.
        limits: what there is.
        core: what the model is to run on.
        runtime: the only one to consider; None for either.
        all_rungs: climb on after one was found that fits.
        watch: is told about progress.

    Raises:
        UnsupportedOperatorError: only compiled code is wanted, and an operator cannot be compiled.
    """
    code, code_notice = runtime_flash(model, core)
    on_tflm = [_with_tflm(step.rung, model.size_bytes + code, limits) for step in steps]
    rungs = tuple(step.rung for step in steps)
    as_code: tuple[Candidate, ...] = ()
    notices: tuple[str, ...] = ()
    found = runtime is None and core.runs_tflm and any(candidate.fits for candidate in on_tflm)
    try:
        if runtime != "tflm":
            rungs, best, notices = _compiled(model, rungs, limits, core, found=found, all_rungs=all_rungs, watch=watch)
            as_code = (best,)
    except UnsupportedOperatorError as error:
        if runtime is not None:
            raise
        notices = (f"only stock TFLM is considered, as the model cannot be compiled: {error}",)
    on_tflm = [replace(c, rung=rung) for c, rung in zip(on_tflm, rungs, strict=False)]
    usable = [*(on_tflm if runtime != "thimble" and (core.runs_tflm or not as_code) else ()), *as_code]
    best = min(usable, key=lambda c: sum(c.excess))
    memory = map_memory(model.main, shipped_schedule(model.main), main_scratch(steps[0].allocation))
    return Verdict(
        device=device,
        target=core.name,
        limits=limits,
        rungs=rungs,
        chosen=best.rung if best.fits else None,
        closest=best.rung,
        runtime=best.runtime,
        ram_bytes=best.ram_bytes + (best.flash_bytes if limits.shared else 0),
        flash_bytes=best.flash_bytes,
        exact=best.exact,
        peak_operator=_named(memory),
        why=memory.why(),
        clash=None if best.fits else _clash(memory, best.excess),
        notices=(
            *model.notices,
            *steps[0].allocation.notices,
            *(code_notice if best.runtime == "tflm" else ()),
            *notices,
        ),
    )


def _compiled(
    model: Model, rungs: tuple[Rung, ...], limits: Limits, core: Target, *, found: bool, all_rungs: bool, watch: Watch
) -> tuple[tuple[Rung, ...], Candidate, tuple[str, ...]]:
    """The rungs with their C code, the best of which, and what is not known of it.

    With `found` stock TFLM fits already, and sizes are not needed.
    """
    flavour, compiler = flavour_of(core), compiler_for(core)
    built = []
    for number in range(FIRST_RUNG):
        watch(number, HIGHEST_RUNG + 1, f"rung {number}")
        built.append(build(model, number, flavour, compiler=compiler))
    tried = _tried(model, core, limits, flavour, found=found, all_rungs=all_rungs, watch=watch, compiler=compiler)
    high = list(tried)
    best = high[0] if found else _closest(high, core, limits)
    built += [best if one.rung.rung == best.rung.rung else one for one in high]
    merged = tuple(
        replace(rungs[number], compiled=one.compiled) if number < len(rungs) else one.rung
        for number, one in enumerate(built)
    )
    unknown = tuple(f"only arena and constants are counted: {line}" for line in best.unknown.splitlines()[:1])
    return merged, _as_code(merged[best.rung.rung], limits), unknown


def _with_tflm(rung: Rung, flash: int, limits: Limits) -> Candidate:
    return Candidate(rung, "tflm", rung.ram_bytes, flash, True, limits.excess(rung.ram_bytes, flash))


def _as_code(rung: Rung, limits: Limits) -> Candidate:
    compiled = rung.compiled
    assert compiled is not None
    excess = _excess(compiled, limits)
    return Candidate(rung, "thimble", compiled.ram_bytes, compiled.least_flash_bytes, compiled.known, excess)


def _clash(memory: MemoryMap, excess: tuple[int, int]) -> Clash:
    peak = memory.peak
    live = [memory.graph.tensors[t] for t in (memory.live(peak) if peak is not None else ())]
    tensors = [(tensor.name, tensor.nbytes) for tensor in live]
    return Clash(_named(memory), tuple(sorted(tensors, key=lambda named: -named[1])), *excess)


def _named(memory: MemoryMap) -> str:
    """The operator that holds the peak, for a reader."""
    return "" if memory.peak is None else f"{memory.peak.kind} '{short_name(memory.peak.name)}'"
