# SPDX-License-Identifier: Apache-2.0
"""The stages in order, and the Python API. Every stage is followed by the verifier.

file -> Model -> Schedule -> lifetimes -> TFLM's plan (rung 0) -> Verdict
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from thimble.board import load_board
from thimble.climb import Step, climb, packed_step, scratch_of
from thimble.compile import flavour_of
from thimble.emulation.machines import machine_named
from thimble.errors import InternalError, ModelError, OptionError, ThimbleError
from thimble.exporters.offline import with_plan
from thimble.files import write_atomically
from thimble.fitrate import Needs, model_files, needs
from thimble.front import Point
from thimble.front import ladder as priced
from thimble.importers.tflite import parse_tflite, read_tflite
from thimble.ir import Graph, Model
from thimble.judge import judge
from thimble.kernel import Flavour
from thimble.ladder import Limits, Runtime, Verdict
from thimble.lifetime import read_order, shipped_schedule
from thimble.mapping import MemoryMap, map_memory
from thimble.memory import Schedule
from thimble.target import Target, target_named
from thimble.tflm import predict
from thimble.tflm.dropin import DropIn, improve
from thimble.tflm.in_place import refusals
from thimble.verify import verify_graph, verify_schedule
from thimble.watch import Watch, unwatched

DEFAULT_TARGET = "cortex-m4"
ACCELERATOR = "npu"  # reference kernels, which need no work space: what is counted is weights and activations
PORTABLE = ("cortex-m4", "cortex-m55", "host")  # the three kinds of kernels that TFLM has: one file serves all


def demo_model() -> Path:
    """Path of the model that ships with Thimble: a small int8 keyword-spotting DS-CNN."""
    return Path(str(resources.files("thimble") / "data" / "kws_ds_cnn.tflite"))


def model_file(path: str | Path) -> Path:
    """The file that a user means: a path, or "demo" for the model that ships with Thimble."""
    return demo_model() if str(path) == "demo" and not Path(path).exists() else Path(path)


def load(path: str | Path, batch: int | None = None) -> Model:
    """Read a model file.

    Args:
        path: a `.tflite` file, or "demo" for the model that ships with Thimble.
        batch: size of a dynamic batch dimension; None takes 1 and notes it in `Model.notices`.

    Raises:
        ModelError: the file cannot be read, or is of a kind that Thimble does not import.
    """
    file = model_file(path)
    if file.suffix in (".onnx", ".pt2", ".pt", ".pth", ".h5", ".keras"):
        raise ModelError(f"{path}: only .tflite is imported so far. Convert the model to .tflite first.")
    model = read_tflite(file, batch)
    for graph in model.graphs:
        verify_graph(graph)
    return model


def memory_map(
    model: Model, *, order: str = "shipped", target: str | None = None, keep_inputs: bool = False
) -> MemoryMap:
    """Map the model's main graph: what each operator needs in memory, in execution order.

    Args:
        model: from `load`.
        order: "shipped", or a text file of operator indices.
        target: count the scratch memory of this target's TFLM kernels (see `thimble.target.TARGETS`).
        keep_inputs: the caller's input must survive the inference.
    """
    return memory_maps(model, order=order, target=target, keep_inputs=keep_inputs)[0]


def memory_maps(
    model: Model, *, order: str = "shipped", target: str | None = None, keep_inputs: bool = False
) -> tuple[MemoryMap, ...]:
    """The maps of all graphs of a model, the main one first; `order` is for the main graph."""
    scratch = scratch_of(predict(model, target_named(target))) if target is not None else {}
    schedules = [_schedule(model.main, order), *(shipped_schedule(graph) for graph in model.graphs[1:])]
    maps = []
    for index, (graph, schedule) in enumerate(zip(model.graphs, schedules, strict=True)):
        verify_schedule(graph, schedule)
        own = {op: size for (g, op), size in scratch.items() if g == index}
        maps.append(map_memory(graph, schedule, own, keep_inputs=keep_inputs and index == 0))
    return tuple(maps)


def best_maps(shipped: MemoryMap, steps: tuple[Step, ...]) -> tuple[MemoryMap, ...]:
    """The map as it is and, where the last rung runs another order, the map of that order."""
    schedule = steps[-1].schedule
    if schedule.order == shipped.schedule.order:
        return (shipped,)
    scratch = {row.op: row.scratch_bytes for row in shipped.operators}
    return shipped, map_memory(shipped.graph, schedule, scratch)


def _schedule(graph: Graph, order: str) -> Schedule:
    if order == "shipped":
        return shipped_schedule(graph)
    try:
        return read_order(graph, Path(order).read_text(encoding="utf-8"), order)
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--order: {order} cannot be read: {error}") from None


def fit(
    model: Model,
    *,
    board: str | None = None,
    max_ram: int | None = None,
    max_flash: int | None = None,
    target: str | None = None,
    runtime: Runtime | None = None,
    all_rungs: bool = False,
) -> Verdict:
    """Say whether the model fits, and at which price.

    Args:
        model: from `load`.
        board: name of a board, or path of a board file.
        max_ram: bytes of RAM, instead of a board's or below it.
        max_flash: likewise for flash.
        target: core whose kernels run the model; None for the board's, else "cortex-m4".
        runtime: "tflm" or "thimble" (compiled code); None for the cheapest of both.
        all_rungs: compute the rungs above the chosen one too.

    Raises:
        OptionError: neither a board nor a limit is given, or no such target.
        BoardError: no such board, or a board file that is not sound.
        UnsupportedOperatorError: `runtime` is "thimble", and an operator cannot be compiled.
    """
    device, limits, core = device_of(board, max_ram, max_flash, target)
    return judge(model, climb(model, core), device, limits, core, runtime=runtime, all_rungs=all_rungs)


def device_of(
    board: str | None, max_ram: int | None, max_flash: int | None, target: str | None
) -> tuple[str, Limits, Target]:
    """Title, limits and core that the arguments of `fit` describe; same errors."""
    if board is None:
        if max_ram is None and max_flash is None:
            raise OptionError("give --board NAME (`thimble boards` lists them), or --max-ram and --max-flash")
        core = target_named(target or DEFAULT_TARGET)
        return f"the given limits ({core.name})", Limits(max_ram, max_flash), core
    found = load_board(board)
    ram = found.ram_span() if max_ram is None else max_ram
    flash = (found.flash_bytes() or None) if max_flash is None else max_flash
    return found.title, Limits(ram, flash, shared=flash is None), target_named(target or found.target)


def compiled_for(board: str | None, target: str | None) -> tuple[Limits, Target]:
    """What a board or a core offers, and the core."""
    if board is not None:
        return device_of(board, None, None, target)[1:]
    if target is None:
        raise OptionError("give --board NAME (`thimble boards` lists them) or --target cortex-m4, host, ...")
    return Limits(None, None), target_named(target)


def flavour_named(kernels: str | None, core: Target) -> Flavour:
    """The kernels of that name; None for what suits the core."""
    known = {flavour.value: flavour for flavour in Flavour}
    if kernels is None:
        return flavour_of(core)
    if kernels not in known:
        raise OptionError(f"--kernels {kernels}: there are {', '.join(known)}")
    if known[kernels] is Flavour.CMSIS_NN and core.mve:
        return Flavour.CMSIS_NN_MVE
    return known[kernels]


def ladder(
    model: Model,
    *,
    board: str | None = None,
    target: str | None = None,
    kernels: str | None = None,
    machine: str | None = None,
    max_macs: float | None = None,
    keep_inputs: bool = False,
    watch: Watch = unwatched,
) -> tuple[str, tuple[Point, ...]]:
    """What less memory costs: the core that is compiled for, and every rung as C code.

    Args:
        model: from `load`.
        board: whose core is compiled for.
        target: the core, if not the board's or the machine's; without all of them "cortex-m4".
        kernels: as for `compile_bundle`.
        machine: an emulated machine that counts the instructions of one inference per rung.
        max_macs: the most multiply-accumulates, relative to the model's.
        keep_inputs: the caller's inputs survive the inference.
        watch: is told about progress.

    Raises:
        OptionError: an argument makes no sense, or a tool is missing.
        UnsupportedOperatorError: an operator cannot be compiled.
    """
    own = None if machine is None else machine_named(machine).target
    core = compiled_for(board, target)[1] if board or target else target_named(own or DEFAULT_TARGET)
    if own not in (None, core.name):
        raise OptionError(f"--emulate {machine}: is a {own}, not a {core.name}")
    flavour = flavour_named(kernels, core)
    if machine is not None and flavour.calls_cmsis_nn:
        raise OptionError("--kernels cmsis-nn: there is no CMSIS-NN here to run it with")
    points = priced(model, core, flavour, max_macs=max_macs, machine=machine, keep_inputs=keep_inputs, watch=watch)
    return core.name, points


def fit_rates(
    paths: Sequence[str], *, zoo: bool = False, sizes: Sequence[int] = (), watch: Watch = unwatched
) -> tuple[Needs, ...]:
    """What models need of a memory that holds weights and activations, rung by rung.

    Args:
        paths: model files, and folders with model files.
        zoo: the zoo's architectures too, with their default options.
        sizes: of the memory; where given, models climb only until it is known which ones they fit.
        watch: is told about progress.

    Raises:
        OptionError: there is nothing at a path, or no model is asked for.
    """
    from thimble import zoo as architectures

    items: list[Path | str] = [*model_files(paths), *(architectures.names() if zoo else ())]
    if not items:
        raise OptionError("give model files or folders, or --zoo")
    found = []
    for done, item in enumerate(items):
        name = item if isinstance(item, str) else item.name
        watch(done, len(items), name)
        try:
            model = architectures.build(item) if isinstance(item, str) else load(item)
        except (ThimbleError, InternalError) as error:
            found.append(Needs(name, 0, (), f"cannot be read: {error}"))
        else:
            found.append(replace(needs(model, target_named(ACCELERATOR), sizes), name=name))
    return tuple(found)


def optimize(
    path: str | Path,
    out: str | Path,
    *,
    targets: Sequence[str] = PORTABLE,
    keep_inputs: bool = False,
    in_place: bool = False,
) -> dict[str, tuple[Step, Step, Step]]:
    """Write the file so that stock TFLM runs it in the least memory: operators reordered, and our plan as metadata.

    Where neither helps, the file is written as it is. Everything else in it stays.

    Args:
        path: a `.tflite` file, or "demo".
        out: the file to write; not `path` itself.
        targets: cores that are to run the file. Their kernels' scratch buffers are planned for, and on none of
            them does the arena grow.
        keep_inputs: the caller's input must survive the inference, which TFLM by itself does not promise; the
            arena may then have to be larger.
        in_place: results may lie at the offset of an operand that dies, where all of TFLM's reference and CMSIS-NN
            kernels were found to bear it (docs/ladder.md). Other kernels, a vendor's for example, may not.

    Returns:
        Per target: rung 0; what TFLM will allocate for `out`; and what a file for this target alone could reach.

    Raises:
        OptionError: `out` is the input file or cannot be written, or inputs cannot be kept.
    """
    source, result = model_file(path), Path(out)
    if result.exists() and source.exists() and result.samefile(source):
        raise OptionError(f"{out}: is the input file; give another name")
    model = load(source)
    cores = [target_named(name) for name in targets]
    packed = improve(model, cores, keep_inputs=keep_inputs, in_place=in_place)
    refused = refusals(model.main, packed.schedule.order, keep_inputs=keep_inputs) if in_place else ()
    steps = {}
    for which, core in enumerate(cores):
        shipped, _, alone = climb(model, core, keep_inputs=keep_inputs, in_place=in_place)
        start = time.perf_counter()
        written = packed_step(model, packed, which, alone.rung.lower_bound_bytes, start)
        steps[core.name] = shipped, replace(written, refused=refused), alone
    data = source.read_bytes()
    if packed.offsets is not None or packed.schedule.order != shipped_schedule(model.main).order:
        data = with_plan(data, packed.schedule.order, packed.offsets)
        _check_written(data, str(result), cores, packed)
    write_atomically(result, data)
    return steps


def _check_written(data: bytes, name: str, cores: Sequence[Target], packed: DropIn) -> None:
    """Read the new file back and predict what TFLM makes of it: it must be what was planned."""
    written = parse_tflite(data, name)
    for core, planned in zip(cores, packed.allocations, strict=True):
        if predict(written, core).nonpersistent_bytes != planned.nonpersistent_bytes:
            raise InternalError(f"the plan in {name} does not give {core.name} the arena that was planned")
