# SPDX-License-Identifier: Apache-2.0
"""Compiled code on emulated microcontrollers: the bytes of the host, within its own memory, in the predicted space."""

from __future__ import annotations

import shutil
from functools import cache

import numpy as np
import pytest

from tflm_models import conv
from thimble.compile import compile_model
from thimble.emulate import MACHINES, Bundle, Measurement, bundle_of, emulate, emulate_bundle, predict
from thimble.emulation.machines import Isa, machine_for
from thimble.emulation.stack import Function, _frames, stack_bound
from thimble.errors import InternalError, OptionError
from thimble.execute import Executor
from thimble.ir import Array, Model
from thimble.kernel import Flavour
from thimble.program import Program

TOOLS = {
    "arm": ("arm-none-eabi-gcc", "qemu-system-arm"),
    "riscv": ("riscv64-unknown-elf-gcc", "qemu-system-riscv32"),
    "avr": ("avr-gcc", "simavr"),
}
ONE_PER_ISA = ["mps2-an386", "riscv32", "atmega2560"]
SMALL = conv((1, 5, 6, 3), (4, 3, 3, 3), (1, 5, 6, 4))

LIBRARY_CALLS = {
    "helpers": """
  volatile int64_t n = arena[0] - 500;
  volatile float x = (float)n;
  volatile double y = (double)x;
  n = n / 7 * n % 1000;
  x = x / 3.0f;
  y = y / 3.0;
  x = roundf(x) + floorf(x) + ceilf(x) + sqrtf(x * x) + (float)round(y);
  memmove(arena, arena + 4, (size_t)n & 31);
""",
    "float": """
  volatile float x = (float)arena[0] * 1e-3f + 0.5f, f;
  f = expf(x); f = logf(x); f = powf(x, 1.7f); f = tanhf(x); f = fmodf(x, 0.3f);
#if !defined(__AVR__)
  f = expm1f(x); f = erff(x); f = log1pf(x);
#endif
  (void)f;
""",
    "double": """
  volatile double y = (double)arena[0] * 1e-3 + 0.5, d;
  d = exp(y); d = log(y); d = tanh(y); d = pow(y, 1.7);
#if !defined(__AVR__)
  d = erf(y); d = expm1(y); d = log1p(y);
#endif
  (void)d;
""",
    "trigonometric": """
  volatile float x = (float)arena[0] * 1e9f, f;
  f = sinf(x); f = cosf(x);
  (void)f;
""",
}


def emulated(name: str) -> pytest.MarkDecorator:
    """Skips where tools for the machine are not installed."""
    absent = [tool for tool in TOOLS[MACHINES[name].isa] if not shutil.which(tool)]
    return pytest.mark.skipif(bool(absent), reason=f"{name}: {', '.join(absent)} not installed (`make emulators`)")


def each(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "machine", [pytest.param(n, marks=[emulated(n), pytest.mark.emulator]) for n in names]
    )


@cache
def program(model: Model = SMALL) -> Program:
    return compile_model(model, flavour=Flavour.PORTABLE, name="net")


def inputs(count: int = 2, model: Model = SMALL) -> list[tuple[Array, ...]]:
    random = np.random.default_rng(1)
    tensors = [model.main.tensors[i] for i in model.main.inputs]
    return [tuple(random.integers(-128, 127, t.shape, np.int8, endpoint=True) for t in tensors) for _ in range(count)]


def planted(machine: str, code: str, model: Model = SMALL, *, seconds: float = 60) -> Measurement:
    """The program with some code at the start of its first step."""
    bundle = bundle_of(program(model))
    files = dict(bundle.files)
    start = "static THIMBLE_NOINLINE void step_0(uint8_t *arena) {"
    assert start in files["net.c"]
    files["net.c"] = "#include <math.h>\n" + files["net.c"].replace(start, start + code)
    return emulate_bundle(Bundle(bundle.interface, files), inputs(1), machine, seconds=seconds)


@each(*MACHINES)
def test_every_machine_returns_the_bytes_of_the_reference(machine: str) -> None:
    given = inputs()
    measured = emulate(program(), given, machine)
    reference = Executor(SMALL)
    for got, values in zip(measured.outputs, given, strict=True):
        np.testing.assert_array_equal(got[0], reference.run(*values)[0])
    assert measured.outside_accesses == 0, measured.first_outside
    # The input's 90 bytes lie beside the output's 120; all of both is used, the gap between them is not.
    assert (measured.arena.bytes_read, measured.arena.bytes_written) == (90, 120)
    assert max(measured.arena.read[1], measured.arena.written[1]) <= measured.footprint.arena
    assert measured.stack_bound is not None
    assert 0 < measured.stack_bytes <= measured.stack_bound
    assert (measured.cycles is None) == (machine != "atmega2560")
    assert len(measured.inferences) == 2


@each("cortex-m0")
def test_code_for_an_m0_takes_the_same_instructions_on_a_larger_board(machine: str) -> None:
    small, large = (emulate(program(), inputs(), name) for name in ("microbit", machine))
    assert [i.instructions for i in large.inferences] == [i.instructions for i in small.inferences]


@each(*ONE_PER_ISA, "microbit")
def test_predicted_sizes_are_those_of_the_linked_firmware(machine: str) -> None:
    measured = emulate(program(), inputs(1), machine)
    sizes, bound = predict(program(), MACHINES[machine].target)
    assert sizes == measured.footprint
    assert bound == measured.stack_bound
    assert sizes.arena == program().arena_bytes
    assert sizes.static_bytes == 0  # generated code has no state of its own


@each(*ONE_PER_ISA)
def test_a_write_beyond_the_arena_is_seen(machine: str) -> None:
    measured = planted(machine, "arena[NET_ARENA_BYTES] = 1;")
    assert measured.outside_accesses == 1
    assert measured.first_outside.startswith("step_0 at ")
    assert " writes " in measured.first_outside


@each(*ONE_PER_ISA)
def test_a_read_before_the_arena_is_seen(machine: str) -> None:
    measured = planted(machine, "(void)*(volatile uint8_t *)(arena - 1);")
    assert measured.outside_accesses == 1
    assert " reads " in measured.first_outside


@each("microbit", "mps2-an386", "riscv32")
def test_an_access_to_no_memory_is_a_fault_with_its_place(machine: str) -> None:
    with pytest.raises(InternalError, match=r"fails on .*: fault \d+ in step_0 at 0x"):
        planted(machine, "*(volatile uint32_t *)0x90000000u = 1;")


@each("mps2-an386")
def test_code_that_does_not_end_is_stopped(machine: str) -> None:
    with pytest.raises(OptionError, match="does not end within 1 seconds"):
        planted(machine, "for (volatile int i = 0; i < 1;) {}", seconds=1)


@pytest.mark.parametrize("functions", LIBRARY_CALLS)
@each("microbit", "mps2-an386", "riscv32", "atmega2560")
def test_library_functions_stay_within_their_allowance(machine: str, functions: str) -> None:
    measured = planted(machine, LIBRARY_CALLS[functions])
    assert measured.outside_accesses == 0, measured.first_outside
    assert measured.stack_bound is not None
    assert measured.stack_bytes <= measured.stack_bound


@each(*ONE_PER_ISA)
def test_steps_add_up(machine: str) -> None:
    measured = emulate(program(), inputs(1), machine, per_step=True)
    plain = emulate(program(), inputs(1), machine, memory=False)
    assert len(measured.steps) == len(program().steps)
    # The marks are not counted; what precedes the first step is the call itself.
    assert 0 < measured.instructions - sum(measured.steps) < 16
    assert measured.instructions == plain.instructions
    assert plain.arena.loads == plain.arena.stores == 0 or machine == "atmega2560"


@each("mps3-an547")
def test_weights_go_to_the_large_memory_where_they_do_not_fit(machine: str) -> None:
    model = conv((1, 1, 1, 720), (720, 1, 1, 720), (1, 1, 1, 720))  # 506 KiB in 512 KiB of code memory
    given = inputs(1, model)
    measured = emulate(program(model), given, machine, flags=("-O1",), memory=False)
    np.testing.assert_array_equal(measured.outputs[0][0], Executor(model).run(*given[0])[0])


@each("microbit")
def test_what_does_not_fit_is_said(machine: str) -> None:
    model = conv((1, 32, 32, 8), (8, 1, 1, 8), (1, 32, 32, 8))
    with pytest.raises(OptionError, match="does not fit in the memory of microbit"):
        emulate(program(model), inputs(1, model), machine)


@each("mps2-an386")
def test_clang_runs_too(machine: str) -> None:
    pytest.importorskip("ziglang")
    given = inputs(1)
    measured = emulate(program(), given, machine, compiler="zig")
    np.testing.assert_array_equal(measured.outputs[0][0], Executor(SMALL).run(*given[0])[0])
    assert measured.stack_bound is None


def test_wrong_names_and_inputs_are_the_users_fault() -> None:
    with pytest.raises(OptionError, match="no emulated machine named 'z80'; known: microbit, "):
        emulate(program(), inputs(), "z80")
    with pytest.raises(OptionError, match="no emulated machine has the processor xtensa"):
        machine_for("xtensa")
    with pytest.raises(OptionError, match="no inputs were given"):
        emulate(program(), [], "microbit")
    with pytest.raises(OptionError, match="the model has 1 inputs, 2 were given"):
        emulate(program(), [inputs()[0] * 2], "microbit")
    with pytest.raises(OptionError, match=r"input 't0' is int8\[1, 5, 6, 3\], not int8\[3\]"):
        emulate(program(), [(np.zeros(3, np.int8),)], "microbit")


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OptionError, match=r"arm-none-eabi-gcc is not installed; .* apt-get install gcc-arm-none-eabi"):
        emulate(program(), inputs(), "microbit")


def test_the_bound_of_the_stack_is_the_deepest_path() -> None:
    #   root 8 ── a 16 ── c 40
    #         └── b 32 ── c 40     the deepest: 8 + 32 + 40
    functions = {
        "root": Function(8, ("a", "b")),
        "a": Function(16, ("c",)),
        "b": Function(32, ("c",)),
        "c": Function(40, ()),
    }
    isa: Isa = "arm"
    assert stack_bound(functions, ["root", "a"], isa) == 80
    with pytest.raises(InternalError, match="recursive: root -> a -> root"):
        stack_bound({"root": Function(8, ("a",)), "a": Function(0, ("root",))}, ["root"], isa)


def test_a_frame_without_a_bound_is_refused() -> None:
    assert _frames("n.c:1:2:f\t16\tstatic\nn.c:1:2:g\t24\tdynamic,bounded\n") == {"f": 16, "g": 24}
    with pytest.raises(InternalError, match="the stack of f has no bound"):
        _frames("n.c:1:2:f\t16\tdynamic\n")
