# SPDX-License-Identifier: Apache-2.0
"""Models as C code: bundles in a folder, and inferences that are compiled and run at once.

file -> Model -> Program (`compile.py`) -> Bundle -> folder, or run at once
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from thimble.board import Board, board_names, load_board
from thimble.bundle import FLAGS, Bundle, Origin, flags_of, make_bundle, owned_files, read_manifest, stored_sources
from thimble.choose import Goal, goal_named
from thimble.climb import Compiler, build
from thimble.compile import DEFAULT_MAX_MACS, DEFAULT_RUNG, STREAMING_RUNG, Meter, compile_model, flavour_of
from thimble.emit import identifier
from thimble.emulate import Bundle as Generated
from thimble.emulate import emulate, emulate_bundle
from thimble.emulation.machines import machine_named
from thimble.errors import OptionError
from thimble.execute import Executor
from thimble.files import write_folder
from thimble.host import HostBundle, HostProgram, interface_of
from thimble.inference import Outcome, arrays_for, compared, host_flags, run_on_host
from thimble.ir import Model
from thimble.judge import cheapest
from thimble.kernel import Flavour
from thimble.layout import Layout
from thimble.packaging import Package, package_named
from thimble.pipeline import compiled_for, flavour_named, load, model_file
from thimble.place_board import PLACED_RUNG, Objective, objective_named
from thimble.placed import placed_program
from thimble.program import Program
from thimble.selftest import expected
from thimble.target import Target, target_named
from thimble.watch import Watch, unwatched

QUIET = ("-w",)  # a user's compiler may know warnings that ours does not


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
    place: str | None = None,
    stream_input: bool = False,
    stream_output: bool = False,
    watch: Watch = unwatched,
    max_macs: float = DEFAULT_MAX_MACS,
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
        place: "latency", "energy" or "mix": everything goes to the memory of the board that serves it best.
        stream_input: the application hands over the rows of an image one after another; rung 5 unless one is given.
        stream_output: it takes those of an image one after another.
        watch: is told about progress.
        max_macs: multiply-accumulates that rung 6 may execute, relative to the model's.

    Raises:
        OptionError: an argument makes no sense, or the folder is in the way or cannot be written.
        UnsupportedOperatorError: an operator cannot be compiled.
    """
    limits, core = compiled_for(board, target)
    kind, goal = package_named(package), goal_named(optimize)
    folder = Path(out)
    owned = _writable(folder, force)
    model = load(path, batch)
    flavour = flavour_named(kernels, core)
    prefix = _c_name(name)
    least = _least_rung(place, stream_input, stream_output)
    rung = least if rung is None else rung
    streaming = partial(compile_model, stream_input=stream_input, stream_output=stream_output, max_macs=max_macs)
    compiler = _compiler(goal, core, tune, flavour, streaming)
    notices = model.notices
    if place is not None:
        chosen = _placing(place, board, flavour, goal, kind)
        compiler = partial(_placed_program, compiler, *chosen)
        rung = PLACED_RUNG if rung is None else rung
    if rung is None and board is not None:
        built, reason = cheapest(
            model, core, limits, flavour, name=prefix, keep_inputs=keep_inputs, watch=watch, compiler=compiler
        )
        notices += (reason,)
    else:
        number = DEFAULT_RUNG if rung is None else rung
        built = build(model, number, flavour, name=prefix, keep_inputs=keep_inputs, compiler=compiler, watch=watch)
    digest = hashlib.sha256(model_file(path).read_bytes()).hexdigest()
    origin = Origin(model.name, digest, core.name, flavour, built.rung.rung, limits, board, kind, keep_inputs)
    bundle = make_bundle(built.program, origin, expected(model), notices, built.sizes)
    write_folder(folder, bundle.files, owned)
    return bundle


def _placing(
    place: str, board: str | None, flavour: Flavour, goal: Goal, package: Package
) -> tuple[Board, Objective, tuple[str, ...]]:
    """The board, what is to be least, and the compiler's flags; an OptionError where code cannot be placed."""
    objective = objective_named(place, "--place")
    if board is None:
        raise OptionError("--place: say on which board with --board NAME (`thimble boards` lists them)")
    if package != "cmake":
        raise OptionError(f"--place: only bundles of --package cmake know the sections of the linker, not {package}")
    if flavour.calls_cmsis_nn or goal is Goal.SIZE:
        raise OptionError(
            "--place: needs code of its own for every step; --kernels cmsis-nn and --optimize size share it"
        )
    return load_board(board), objective, FLAGS[0]


def _placed_program(
    compiler: Compiler,
    board: Board,
    objective: Objective,
    flags: tuple[str, ...],
    model: Model,
    *,
    keep_inputs: bool = False,
    **settings: Any,
) -> Program:
    """A `Compiler` whose programs are placed."""
    program = compiler(model, keep_inputs=keep_inputs, **settings)
    return placed_program(program, board, objective, keep_inputs=keep_inputs, flags=flags)


def _writable(folder: Path, force: bool) -> frozenset[str]:
    """The files of an earlier bundle in the folder that a new one is to take the place of."""
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder}: is a file; give a folder")
    owned = owned_files(folder)
    if owned is None and not force and folder.exists() and any(folder.iterdir()):
        raise OptionError(f"{folder}: is not empty and holds no earlier bundle; --force writes into it")
    return owned or frozenset()


def _compiler(
    goal: Goal, core: Target, tune: str | None, flavour: Flavour, compiler: Compiler = compile_model
) -> Compiler:
    """`compile_model` for a goal and a core; its instructions are counted on the machine `tune`, if there is one."""
    meter = None
    if tune is not None:
        if flavour.calls_cmsis_nn:
            raise OptionError("--tune: there is no CMSIS-NN here to count instructions of")
        target = target_named(machine_named(tune).target)
        if flavour_of(target) is not flavour_of(core):
            raise OptionError(f"--tune {tune}: is a {target.name}, whose instructions are not those of {core.name}")
        meter = Meter(tune, partial(_counted_steps, machine=tune, flags=FLAGS[goal is Goal.SIZE]))
    return partial(compiler, optimize=goal, core=core.name, meter=meter)


def _least_rung(place: str | None, stream_input: bool, stream_output: bool) -> int | None:
    """The rung to start from where rows are handed over; None where none are."""
    if place is not None and (stream_input or stream_output):
        raise OptionError("--stream-input and --stream-output do not go with --place, which is for whole tensors")
    return STREAMING_RUNG if stream_input or stream_output else None


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
    rung: int | None = None,
    as_float: bool = False,
    machine: str | None = None,
    compare: bool = False,
    kernels: str | None = None,
    optimize: str | None = None,
    batch: int | None = None,
    place: str | None = None,
    stream_input: bool = False,
    stream_output: bool = False,
    max_macs: float = DEFAULT_MAX_MACS,
) -> Outcome:
    """Compile a model for this machine or an emulated one, and run it once.

    Args:
        source: a `.tflite` file, "demo", or the folder of a bundle.
        inputs: `.npy` files in the model's order; none: random data, the same every time.
        rung: of the ladder; None for the last one that is free, or 5 where rows are handed over.
        as_float: the files hold real numbers where the model's inputs are quantized.
        machine: an emulated machine (`thimble.emulate.MACHINES`) in place of this one.
        compare: hold the outputs against the NumPy reference.
        kernels: as for `compile_bundle`; None for what suits the emulated machine, portable C on this one.
        optimize: as for `compile_bundle`; None for "balanced".
        batch: size of a dynamic batch dimension.
        place: as for `compile_bundle`, on the board of the emulated machine.
        stream_input: as for `compile_bundle`; the array is handed over row by row.
        stream_output: likewise.
        max_macs: as for `compile_bundle`.

    Raises:
        OptionError: an argument or a file makes no sense, or a tool is missing.
        UnsupportedOperatorError: an operator cannot be compiled.
    """
    files = [Path(file) for file in inputs]
    if Path(source).is_dir():
        if stream_input or stream_output:
            raise OptionError(f"{source}: is a bundle; what it hands over row by row was settled when it was compiled")
        if compare or kernels is not None or optimize is not None or place is not None:
            raise OptionError(f"{source}: is a bundle; --compare, --kernels, --optimize and --place need the model")
        return _run_bundle(Path(source), files, machine, as_float=as_float)
    core = target_named("host" if machine is None else machine_named(machine).target)
    model = load(source, batch)
    flavour = flavour_named(kernels, core)
    if flavour.calls_cmsis_nn:
        raise OptionError("--kernels cmsis-nn: there is no CMSIS-NN here to run it with; compile it, and link your own")
    goal = goal_named(optimize or Goal.BALANCED.value)
    least = _least_rung(place, stream_input, stream_output) or DEFAULT_RUNG
    rung = least if rung is None else rung
    program = compile_model(
        model,
        flavour=flavour,
        rung=rung,
        optimize=goal,
        core=core.name,
        stream_input=stream_input,
        stream_output=stream_output,
        max_macs=max_macs,
    )
    if place is not None:
        program = placed_program(program, *_placing(place, machine, flavour, goal, "cmake")[:2])
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
        generated = Generated(written.interface, stored_sources(folder, written), _layout_on(machine, written.layout))
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


def _layout_on(machine: str, layout: Layout | None) -> Layout | None:
    """The layout, if the emulated machine has all its memories."""
    regions = load_board(machine).regions if machine in board_names() else ()
    known = {region.address for region in regions}
    return layout if layout is not None and {memory.origin for memory in layout.memories} <= known else None
