# SPDX-License-Identifier: Apache-2.0
"""The stages in order, and the Python API. Every stage is followed by the verifier.

file -> Model -> Schedule -> lifetimes -> TFLM's plan (rung 0) -> Verdict
file -> Model -> Program (`compile.py`) -> Bundle -> folder, or run at once
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

from thimble.board import load_board
from thimble.bundle import FLAGS, Bundle, Origin, flags_of, make_bundle, owned_files, read_manifest, stored_sources
from thimble.choose import Goal, goal_named
from thimble.climb import Compiler, Step, Watch, build, climb, packed_step, scratch_of, unwatched
from thimble.compile import DEFAULT_RUNG, Meter, compile_model, flavour_of
from thimble.emit import identifier
from thimble.emulate import Bundle as Generated
from thimble.emulate import emulate, emulate_bundle
from thimble.emulation.machines import machine_named
from thimble.errors import InternalError, ModelError, OptionError, ThimbleError
from thimble.execute import Executor
from thimble.exporters.offline import with_plan
from thimble.files import write_atomically, write_folder
from thimble.fitrate import Needs, model_files, needs
from thimble.front import Point
from thimble.front import ladder as priced
from thimble.host import HostBundle, HostProgram, interface_of
from thimble.importers.tflite import parse_tflite, read_tflite
from thimble.inference import Outcome, arrays_for, compared, host_flags, run_on_host
from thimble.ir import Graph, Model
from thimble.judge import cheapest, judge
from thimble.kernel import Flavour
from thimble.ladder import Limits, Runtime, Verdict
from thimble.lifetime import read_order, shipped_schedule
from thimble.mapping import MemoryMap, map_memory
from thimble.memory import Schedule
from thimble.packaging import package_named
from thimble.program import Program
from thimble.selftest import expected
from thimble.target import Target, target_named
from thimble.tflm import predict
from thimble.tflm.dropin import DropIn, improve
from thimble.verify import verify_graph, verify_schedule

QUIET = ("-w",)  # a user's compiler may know warnings that ours does not
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
    core = _compiled_for(board, target)[1] if board or target else target_named(own or DEFAULT_TARGET)
    if own not in (None, core.name):
        raise OptionError(f"--emulate {machine}: is a {own}, not a {core.name}")
    flavour = _flavour(kernels, core)
    if machine is not None and flavour.calls_cmsis_nn:
        raise OptionError("--kernels cmsis-nn: there is no CMSIS-NN here to run it with")
    points = priced(model, core, flavour, max_macs=max_macs, machine=machine, keep_inputs=keep_inputs, watch=watch)
    return core.name, points


def fit_rates(paths: Sequence[str], *, zoo: bool = False, watch: Watch = unwatched) -> tuple[Needs, ...]:
    """What models need of a memory that holds weights and activations, rung by rung.

    Args:
        paths: model files, and folders with model files.
        zoo: the zoo's architectures too, with their default options.
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
            found.append(replace(needs(model, target_named(ACCELERATOR)), name=name))
    return tuple(found)


def optimize(
    path: str | Path, out: str | Path, *, targets: Sequence[str] = PORTABLE, keep_inputs: bool = False
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
    packed = improve(model, cores, keep_inputs=keep_inputs)
    steps = {}
    for which, core in enumerate(cores):
        shipped, _, alone = climb(model, core, keep_inputs=keep_inputs)
        start = time.perf_counter()
        written = packed_step(model, packed, which, alone.rung.lower_bound_bytes, start)
        steps[core.name] = shipped, written, alone
    data = source.read_bytes()
    if packed.offsets is not None or packed.schedule.order != shipped_schedule(model.main).order:
        data = with_plan(data, packed.schedule.order, packed.offsets)
        _check_written(data, str(result), cores, packed)
    write_atomically(result, data)
    return steps


def compile_bundle(
    path: str | Path,
    out: str | Path,
    *,
    board: str | None = None,
    target: str | None = None,
    rung: int | None = None,
    kernels: str | None = None,
    optimize: str = Goal.BALANCED.value,
    tune: str | None = None,
    name: str | None = None,
    package: str = "cmake",
    keep_inputs: bool = False,
    force: bool = False,
    batch: int | None = None,
    watch: Watch = unwatched,
) -> Bundle:
    """Compile a model to C and write the bundle's folder, whole or not at all.

    Args:
        path: a `.tflite` file, or "demo".
        out: the folder; an earlier bundle there is replaced, other files in it stay.
        board: whose core is compiled for, and whose memory the bundle is held against.
        target: the core, if not the board's.
        rung: of the ladder, see `compile_model`; None for the cheapest that fits the board.
        kernels: "portable", "dsp", "mve" or "cmsis-nn"; None for what suits the target.
        optimize: a value of `choose.Goal`: what the choice of kernels is to make small.
        tune: an emulated machine that counts their instructions; None: they are estimated.
        name: prefix of the C names; None for the model's.
        package: one of `packaging.PACKAGES`.
        keep_inputs: the caller's inputs survive the inference.
        force: write into a folder that is not empty and no earlier bundle.
        batch: size of a dynamic batch dimension.
        watch: is told about progress.

    Raises:
        OptionError: an argument makes no sense, or the folder is in the way or cannot be written.
        UnsupportedOperatorError: an operator cannot be compiled.
    """
    limits, core = _compiled_for(board, target)
    kind, goal = package_named(package), goal_named(optimize)
    folder = Path(out)
    owned = _writable(folder, force)
    model = load(path, batch)
    flavour = _flavour(kernels, core)
    prefix = _c_name(name)
    compiler = _compiler(goal, core, tune, flavour)
    notices = model.notices
    if rung is None and board is not None:
        built, reason = cheapest(
            model, core, limits, flavour, name=prefix, keep_inputs=keep_inputs, watch=watch, compiler=compiler
        )
        notices += (reason,)
    else:
        number = DEFAULT_RUNG if rung is None else rung
        built = build(model, number, flavour, name=prefix, keep_inputs=keep_inputs, compiler=compiler)
    digest = hashlib.sha256(model_file(path).read_bytes()).hexdigest()
    origin = Origin(model.name, digest, core.name, flavour, built.rung.rung, limits, board, kind, keep_inputs)
    bundle = make_bundle(built.program, origin, expected(model), notices, built.sizes)
    write_folder(folder, bundle.files, owned)
    return bundle


def _compiled_for(board: str | None, target: str | None) -> tuple[Limits, Target]:
    if board is not None:
        return device_of(board, None, None, target)[1:]
    if target is None:
        raise OptionError("give --board NAME (`thimble boards` lists them) or --target cortex-m4, host, ...")
    return Limits(None, None), target_named(target)


def _writable(folder: Path, force: bool) -> frozenset[str]:
    """The files of an earlier bundle in the folder that a new one is to take the place of."""
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder}: is a file; give a folder")
    owned = owned_files(folder)
    if owned is None and not force and folder.exists() and any(folder.iterdir()):
        raise OptionError(f"{folder}: is not empty and holds no earlier bundle; --force writes into it")
    return owned or frozenset()


def _flavour(kernels: str | None, core: Target) -> Flavour:
    known = {flavour.value: flavour for flavour in Flavour}
    if kernels is None:
        return flavour_of(core)
    if kernels not in known:
        raise OptionError(f"--kernels {kernels}: there are {', '.join(known)}")
    if known[kernels] is Flavour.CMSIS_NN and core.mve:
        return Flavour.CMSIS_NN_MVE
    return known[kernels]


def _compiler(goal: Goal, core: Target, tune: str | None, flavour: Flavour) -> Compiler:
    """`compile_model` for a goal and a core; its instructions are counted on the machine `tune`, if there is one."""
    meter = None
    if tune is not None:
        if flavour.calls_cmsis_nn:
            raise OptionError("--tune: there is no CMSIS-NN here to count instructions of")
        target = target_named(machine_named(tune).target)
        if flavour_of(target) is not flavour_of(core):
            raise OptionError(f"--tune {tune}: is a {target.name}, whose instructions are not those of {core.name}")
        meter = Meter(tune, partial(_counted_steps, machine=tune, flags=FLAGS[goal is Goal.SIZE]))
    return partial(compile_model, optimize=goal, core=core.name, meter=meter)


def _counted_steps(program: Program, machine: str, flags: Sequence[str]) -> tuple[int, ...]:
    arrays = arrays_for(interface_of(program).inputs, (), as_float=False)
    return emulate(program, [arrays], machine, flags=flags, per_step=True, memory=False).steps


def _c_name(name: str | None) -> str | None:
    if name is not None and identifier(name) != name:
        raise OptionError(
            f"--name {name!r}: give lower-case letters, digits and underscores, such as '{identifier(name)}'"
        )
    return name


def run(
    source: str | Path,
    inputs: Sequence[str | Path] = (),
    *,
    rung: int = DEFAULT_RUNG,
    as_float: bool = False,
    machine: str | None = None,
    compare: bool = False,
    kernels: str | None = None,
    optimize: str | None = None,
    batch: int | None = None,
) -> Outcome:
    """Compile a model for this machine or an emulated one, and run it once.

    Args:
        source: a `.tflite` file, "demo", or the folder of a bundle.
        inputs: `.npy` files in the model's order; none: random data, the same every time.
        rung: of the ladder.
        as_float: the files hold real numbers where the model's inputs are quantized.
        machine: an emulated machine (`thimble.emulate.MACHINES`) in place of this one.
        compare: hold the outputs against the NumPy reference.
        kernels: as for `compile_bundle`; None for what suits the emulated machine, portable C on this one.
        optimize: as for `compile_bundle`; None for "balanced".
        batch: size of a dynamic batch dimension.

    Raises:
        OptionError: an argument or a file makes no sense, or a tool is missing.
        UnsupportedOperatorError: an operator cannot be compiled.
    """
    files = [Path(file) for file in inputs]
    if Path(source).is_dir():
        if compare or kernels is not None or optimize is not None:
            raise OptionError(f"{source}: is a bundle; --compare, --kernels and --optimize need the model")
        return _run_bundle(Path(source), files, machine, as_float=as_float)
    core = target_named("host" if machine is None else machine_named(machine).target)
    model = load(source, batch)
    flavour = _flavour(kernels, core)
    if flavour.calls_cmsis_nn:
        raise OptionError("--kernels cmsis-nn: there is no CMSIS-NN here to run it with; compile it, and link your own")
    goal = goal_named(optimize or Goal.BALANCED.value)
    program = compile_model(model, flavour=flavour, rung=rung, optimize=goal, core=core.name)
    interface = interface_of(program)
    arrays = arrays_for(interface.inputs, files, as_float=as_float)
    milliseconds = measurement = None
    if machine is None:
        with HostProgram(program, flags=host_flags(len(program.steps)), warnings=QUIET) as compiled:
            outputs, milliseconds = run_on_host(compiled, arrays)
    else:
        measurement = emulate(program, [arrays], machine, flags=flags_of(program))
        outputs = measurement.outputs[0]
    return Outcome(
        name=program.name,
        target=core.name,
        kernels=flavour.value,
        rung=rung,
        macs=program.macs,
        arena_bytes=program.arena_bytes,
        made_up=not files and bool(arrays),
        ports=interface.outputs,
        outputs=outputs,
        milliseconds=milliseconds,
        measurement=measurement,
        comparison=compared(outputs, Executor(model).run(*arrays)) if compare else None,
        notices=model.notices,
    )


def _run_bundle(folder: Path, files: Sequence[Path], machine: str | None, *, as_float: bool) -> Outcome:
    written = read_manifest(folder)
    arrays = arrays_for(written.inputs, files, as_float=as_float)
    milliseconds = measurement = None
    if machine is None:
        sources = [folder.resolve() / name for name in written.sources]
        with HostBundle(written.interface, sources, warnings=QUIET) as compiled:
            outputs, milliseconds = run_on_host(compiled, arrays)
    else:
        generated = Generated(written.interface, stored_sources(folder, written))
        measurement = emulate_bundle(generated, [arrays], machine, flags=written.flags)
        outputs = measurement.outputs[0]
    return Outcome(
        name=written.name,
        target="host" if machine is None else machine_named(machine).target,
        kernels=written.kernels,
        rung=written.rung,
        macs=written.macs,
        arena_bytes=written.arena_bytes,
        made_up=not files and bool(arrays),
        ports=written.outputs,
        outputs=outputs,
        milliseconds=milliseconds,
        measurement=measurement,
    )


def _check_written(data: bytes, name: str, cores: Sequence[Target], packed: DropIn) -> None:
    """Read the new file back and predict what TFLM makes of it: it must be what was planned."""
    written = parse_tflite(data, name)
    for core, planned in zip(cores, packed.allocations, strict=True):
        if predict(written, core).nonpersistent_bytes != planned.nonpersistent_bytes:
            raise InternalError(f"the plan in {name} does not give {core.name} the arena that was planned")
