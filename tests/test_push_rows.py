# SPDX-License-Identifier: Apache-2.0
"""Rows handed over one after another: the input as a camera makes it, the output as a display takes it."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled import SANITIZED, assert_same, edge_inputs
from test_emulate import emulated
from test_streaming import networks
from thimble.bundle import Origin, make_bundle
from thimble.c_rows import Event
from thimble.compile import compile_model
from thimble.emulate import emulate
from thimble.errors import InternalError, OptionError
from thimble.execute import Executor
from thimble.files import write_folder
from thimble.host import WARNINGS, HostProgram, host_compiler
from thimble.ir import Array, Model
from thimble.kernel import Flavour
from thimble.ladder import Limits
from thimble.pipeline import load
from thimble.produce import compile_bundle, run
from thimble.program import Program
from thimble.selftest import expected
from thimble.verify_program import verify_program
from thimble.zoo.builder import Builder

WAYS = ({"stream_input": True}, {"stream_output": True}, {"stream_input": True, "stream_output": True})


def check(model: Model, program: Program) -> None:
    """Row by row the outputs are the reference's, one inference after another."""
    reference = Executor(model)
    with HostProgram(program, flags=SANITIZED) as compiled:
        for values in edge_inputs(model):
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted)


def image(rows: int = 24) -> Model:
    """From image to image, with a border: rows of the output are ready before any of the input are there."""
    build = Builder("image", 1)
    x = build.input((1, rows, 20, 3))
    y = build.conv(build.depthwise(build.conv(x, 8, 3, 2), 3, 1), 4, 1, 1)
    return build.model([x], [build.pad(y, ((0, 0), (2, 1), (1, 1), (0, 0)))])


def labelled() -> Model:
    """From image to classes, with another input that is no image."""
    build = Builder("labelled", 2)
    other, x = build.input((1, 8)), build.input((1, 18, 16, 1))
    y = build.global_pool(build.conv(build.conv(x, 8, 3, 1), 8, 3, 2))
    return build.model([other, x], [build.add(build.reshape(y, (1, 8)), other)])


def shaped() -> Model:
    build = Builder("shaped", 1)
    x = build.input((1, 48))
    return build.model([x], [build.conv(build.reshape(x, (1, 6, 4, 2)), 2, 3, 1)])


def turned() -> Model:
    build = Builder("turned", 1)
    x = build.input((1, 6, 4, 2))
    return build.model([x], [build.reshape(x, (1, 4, 6, 2))])


@given(
    model=networks(), rung=st.sampled_from([5, 6]), flavour=st.sampled_from([*Flavour][:3]), way=st.sampled_from(WAYS)
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_random_networks(model: Model, rung: int, flavour: Flavour, way: dict[str, bool]) -> None:
    check(model, compile_model(model, flavour=flavour, rung=rung, **way))


def test_images_that_the_arena_has_no_room_for() -> None:
    model = image()
    whole = compile_model(model, flavour=Flavour.PORTABLE, rung=5)
    size = whole.graph.tensors[whole.graph.inputs[0]].nbytes
    assert size == 1440 <= whole.arena_bytes
    program = compile_model(model, flavour=Flavour.PORTABLE, rung=5, stream_input=True, stream_output=True)
    check(model, program)
    # Three rows of 60 bytes under the first window, three of 80 under the second, one each of what follows, and where
    # the inference stands.
    assert program.arena_bytes <= 3 * 60 + 3 * 80 + 80 + 40 + 48 + 12 + 8


def test_other_inputs_are_there_as_before() -> None:
    program = compile_model(labelled(), flavour=Flavour.PORTABLE, rung=5, stream_input=True)
    check(labelled(), program)


def test_two_inferences_take_turns() -> None:
    """An arena each is all that two inferences need to be independent of each other."""
    model = image()
    program = compile_model(model, flavour=Flavour.PORTABLE, rung=5, stream_input=True, stream_output=True)
    values = [value for (value,) in edge_inputs(model)][:2]
    with HostProgram(program) as compiled:
        arenas = [np.zeros(program.arena_bytes + 64, np.uint8) for _ in values]
        lanes = [_lane(compiled, arena, value) for arena, value in zip(arenas, values, strict=True)]
        rows = [[row for row in lane if row is not None] for lane in zip(*zip_longest(*lanes), strict=True)]
    for value, got in zip(values, rows, strict=True):
        (wanted,) = Executor(model).run(value)
        np.testing.assert_array_equal(np.frombuffer(b"".join(got), np.int8), wanted.reshape(-1))


def _lane(compiled: HostProgram, arena: Array, value: Array):  # type: ignore[no-untyped-def]
    """One inference: at each stop the row of the output that is ready, or None."""
    start = arena.ctypes.data + -arena.ctypes.data % 64
    name, library = compiled.interface.name, compiled._library
    for verb in ("next_row", "out_row"):
        getattr(library, f"{name}_{verb}").restype = ctypes.c_void_p
    waiting = iter(value[0])
    event = getattr(library, f"{name}_begin")(ctypes.c_void_p(start))
    while event != Event.COMPLETE:
        if event == Event.ROW_WANTED:
            row = next(waiting).tobytes()
            ctypes.memmove(getattr(library, f"{name}_next_row")(ctypes.c_void_p(start)), row, len(row))
            yield None
        else:
            port = compiled.interface.outputs[0]
            yield ctypes.string_at(getattr(library, f"{name}_out_row")(ctypes.c_void_p(start)), port.row_bytes)
        event = getattr(library, f"{name}_row_done")(ctypes.c_void_p(start))


def test_images_in_memory() -> None:
    """`invoke` hands all rows over by itself; without `begin` there is nothing to go on with."""
    model = image()
    program = compile_model(model, flavour=Flavour.DSP, rung=5, stream_input=True, stream_output=True)
    (value,) = next(edge_inputs(model))
    (wanted,) = Executor(model).run(value)
    got = np.empty_like(wanted)
    with HostProgram(program, flags=SANITIZED) as compiled:
        call = getattr(compiled._library, f"{program.name}_row_done")
        assert call(ctypes.c_void_p(compiled._arena)) == Event.COMPLETE
        invoke = getattr(compiled._library, f"{program.name}_invoke")
        invoke.argtypes = [ctypes.c_void_p] * 3
        invoke(compiled._arena, value.ctypes.data, got.ctypes.data)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("machine", [pytest.param("mps2-an386", marks=[emulated("mps2-an386"), pytest.mark.emulator])])
def test_emulated(machine: str) -> None:
    """The harness hands rows over; the code stays within its memory, and what it does between two rows counts."""
    model = image()
    values = list(edge_inputs(model))[:2]
    program = compile_model(model, flavour=Flavour.DSP, rung=5, stream_input=True, stream_output=True)
    measured = emulate(program, values, machine, per_step=True)
    for value, got in zip(values, measured.outputs, strict=True):
        np.testing.assert_array_equal(got[0], Executor(model).run(*value)[0])
    assert measured.outside_accesses == 0 and measured.stack_bound is not None
    assert measured.stack_bytes <= measured.stack_bound
    assert 0.95 * measured.instructions <= sum(measured.steps) <= measured.instructions


def test_bundle(tmp_path: Path) -> None:
    """The folder says how many rows there are of how many bytes, tests itself, and runs."""
    bundle = compile_bundle("demo", tmp_path / "b", target="host", stream_input=True)
    stored = json.loads((tmp_path / "b" / "manifest.json").read_text())
    port = stored["inputs"][0]
    assert (port["rows"], port["row_bytes"], stored["rung"]) == (49, 10, 5)
    assert stored["arena_bytes"] == bundle.program.arena_bytes
    assert "_next_row(" in (tmp_path / "b" / "README.md").read_text()
    assert selftest(tmp_path / "b") == "PASS kws_ds_cnn: 2 cases\n"
    (again,) = run(tmp_path / "b").outputs
    (wanted,) = run("demo").outputs
    np.testing.assert_array_equal(again, wanted)


def selftest(folder: Path) -> str:
    """What the self-test in a folder says."""
    sources = sorted(str(path) for path in folder.glob("*.c"))
    command = [*host_compiler(), "-std=c11", *WARNINGS, *SANITIZED, *sources, "-lm", "-o", str(folder / "test")]
    subprocess.run(command, check=True)
    return subprocess.run([folder / "test"], capture_output=True, text=True, check=False).stdout


def test_selftest_of_rows(tmp_path: Path) -> None:
    """It compares the rows of an output as they come, and sees one that is wrong."""
    model = image()
    program = compile_model(model, flavour=Flavour.PORTABLE, rung=5, stream_input=True, stream_output=True)
    origin = Origin("image", "0" * 64, "host", Flavour.PORTABLE, 5, Limits(None, None))
    files = dict(make_bundle(program, origin, expected(model)).files)
    write_folder(tmp_path / "b", files)
    assert selftest(tmp_path / "b") == "PASS image: 2 cases\n"
    source = tmp_path / "b" / "image.c"
    text, found = re.subn(r"(image_out_row.*\n.*\(arena \+ )", r"\g<1>1 + ", source.read_text())
    assert found == 1
    source.write_text(text)
    assert selftest(tmp_path / "b") == "FAIL image: case 1 of 2\n"


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (image, {"rung": 4, "stream_input": True}, "--stream-input: rows are computed one after another from rung 5"),
        (lambda: load("demo"), {"stream_output": True}, "--stream-output: no output is an image .* 'softmax_12'"),
        (shaped, {"stream_input": True}, "--stream-input: no input is an image .* the model has 'input' "),
        (turned, {"stream_input": True}, "--stream-input: RESHAPE .* needs the input 'input' whole"),
        (turned, {"stream_output": True}, "--stream-output: RESHAPE .* computes the output .* whole"),
    ],
)
def test_refusals(build, arguments: dict[str, object], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OptionError, match=message):
        compile_model(build(), flavour=Flavour.PORTABLE, **{"rung": 5, **arguments})


def test_broken_programs_are_found() -> None:
    """One per kind: a row that comes too late or not at all, too few rows kept, and a position that is overwritten."""
    program = compile_model(image(), flavour=Flavour.PORTABLE, rung=5, stream_input=True, stream_output=True)
    (stream,) = program.streams
    taker = next(m for m, at in enumerate(stream.starts) if program.steps[at].call.kernel == "take_row")

    def broken(**changed: object) -> Program:
        return replace(program, **changed)  # type: ignore[arg-type]

    verify_program(program)
    late = (*(m for m in stream.order if m != taker), *(m for m in stream.order if m == taker))
    rings = tuple((t, rows - (rows > 1)) for t, rows in program.rings)
    rows = tuple(row ^ 1 if member == taker else row for member, row in stream.turns)
    for wrong in (
        broken(streams=(replace(stream, order=late),)),
        broken(streams=(replace(stream, order=stream.order[:-1]),)),
        broken(streams=(replace(stream, rows=rows),)),
        broken(rings=rings),
        broken(position=0),
        broken(position=None),
        broken(streams=()),
    ):
        with pytest.raises(InternalError):
            verify_program(wrong)


@pytest.mark.models
def test_arenas_of_shared_models(models_dir: Path) -> None:
    """Bytes with the input's rows counted as far as they are kept; more would be a step back."""
    for name, most in {"vww_96_int8": 14_336, "kws_ref_model_int8": 4_608}.items():
        model = load(models_dir / f"{name}.tflite")
        program = compile_model(model, flavour=Flavour.DSP, rung=5, stream_input=True)
        assert program.arena_bytes <= most
