# SPDX-License-Identifier: Apache-2.0
"""Compile a bundle for this machine and run it at once: the C code of a program as a function of arrays."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from thimble.c_rows import Event
from thimble.emit import C_TYPES, Constant, constant_alignment, constants_of, emit
from thimble.errors import OptionError
from thimble.ir import Array, DType, Kind, Shape, Tensor, TensorId
from thimble.program import Program

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic")
"""What every bundle must compile with."""
NUMPY_NAMES = frozenset(dtype.label for dtype in C_TYPES if dtype is not DType.INT4)
"""Element types of inputs and outputs."""
ARENA_ALIGNMENT = 64
MANY_CONSTANTS = 1 << 16
"""Bytes of constants above which they are not compiled but put in place: a C compiler reads about 1 MB per second."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: `offset` bytes from the start of its arena, or the constant array `symbol`.

    `dtype` is NumPy's name; `scale` is None where values are not quantized (or not with one scale). What passes row by
    row has `rows`, and no place of its own.
    """

    name: str
    dtype: str
    shape: Shape
    offset: int
    symbol: str = ""
    scale: float | None = None
    zero_point: int = 0
    arena: int = 0
    rows: int = 0

    @property
    def elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.elements * np.dtype(self.dtype).itemsize

    @property
    def row_bytes(self) -> int:
        return self.nbytes // self.rows if self.rows else 0

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Interface:
    """What a caller of compiled code must know: the prefix of its functions, its arenas, its inputs and outputs.

    `arenas` has the bytes of each where there are several.
    """

    name: str
    arena_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    arenas: tuple[int, ...] = ()

    @property
    def by_rows(self) -> bool:
        """Whether an input or an output passes row by row."""
        return any(port.rows for port in (*self.inputs, *self.outputs))


def interface_of(program: Program) -> Interface:
    """How to call a program."""
    graph = program.graph
    constants = constants_of(program)

    def port(index: TensorId) -> Port:
        tensor = graph.tensors[index]
        one = tensor.quant if tensor.quant is not None and len(tensor.quant.scale) == 1 else None
        scale, zero = (one.scale[0], one.zero_point[0]) if one is not None else (None, 0)
        arena, offset, symbol, rows = 0, 0, "", 0
        if tensor.kind is Kind.CONSTANT:
            data = (tensor.data or b"")[: tensor.nbytes]
            symbol = constants[C_TYPES[tensor.dtype], data, False].symbol if data else ""
        elif tensor.kind is Kind.OUTSIDE:
            rows = tensor.shape[1]
        elif tensor.nbytes:
            arena, offset = program.place(tensor)
        return Port(tensor.name, _numpy_name(tensor), tensor.shape, offset, symbol, scale, zero, arena, rows)

    ports = tuple(map(port, graph.inputs)), tuple(map(port, graph.outputs))
    several = tuple(arena.size for arena in program.arenas) if len(program.arenas) > 1 else ()
    return Interface(program.name, program.arena_bytes, *ports, several)


def _numpy_name(tensor: Tensor) -> str:
    if tensor.dtype.label not in NUMPY_NAMES:
        raise OptionError(f"'{tensor.name}' is {tensor.dtype.label}, which NumPy does not have")
    return tensor.dtype.label


class HostBundle:
    """C sources compiled for this machine. Variables keep their values from one `run` to the next until `reset`."""

    def __init__(
        self,
        interface: Interface,
        sources: Sequence[Path],
        *,
        flags: Sequence[str] = ("-O2",),
        warnings: Sequence[str] = WARNINGS,
        compiler: Sequence[str] = (),
    ) -> None:
        """Compile.

        Raises:
            OptionError: there is no C compiler, or it refuses the sources.
        """
        self.interface = interface
        with tempfile.TemporaryDirectory(prefix="thimble-", ignore_cleanup_errors=True) as folder:
            library = Path(folder) / "bundle.so"
            command = [*(compiler or host_compiler()), "-std=c11", *warnings, *flags, "-shared", "-fPIC"]
            done = _run([*command, *map(str, sources), "-lm", "-o", str(library)])
            if done.returncode:
                raise OptionError(f"{command[0]} refuses the bundle:\n{done.stderr.strip()[:4000]}")
            self._library = ctypes.CDLL(str(library))
        sizes = interface.arenas or (interface.arena_bytes,)
        self._blocks = [ctypes.create_string_buffer(max(1, size) + ARENA_ALIGNMENT) for size in sizes]
        starts = map(ctypes.addressof, self._blocks)
        self._arenas = [start + -start % ARENA_ALIGNMENT for start in starts]
        self._pointers = (ctypes.c_void_p * len(sizes))(*self._arenas)
        self._arena = ctypes.addressof(self._pointers) if interface.arenas else self._arenas[0]
        self._invoke = self._function("invoke")
        self._taken, self._given = b"", b""  # what passes row by row: an input, an output
        self.reset()

    def __enter__(self) -> HostBundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left on disk anyway; the code stays loaded until the process ends."""

    def _function(self, verb: str) -> ctypes._NamedFuncPointer:
        name = f"{self.interface.name}_{verb}"
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise OptionError(f"the bundle's sources do not define {name}") from None
        function.argtypes, function.restype = [ctypes.c_void_p], None
        return function  # type: ignore[no-any-return]

    def reset(self) -> None:
        """Forget all variables."""
        self._function("init")(self._arena)

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Outputs for the given inputs, which must have the shapes and types of the model's."""
        self.store(*inputs)
        self.invoke()
        return self.results()

    def store(self, *inputs: Array) -> None:
        """Put the inputs where `invoke` expects them.

        Raises:
            OptionError: an input of the wrong number, shape or type.
        """
        ports = self.interface.inputs
        if len(inputs) != len(ports):
            raise OptionError(f"the model has {len(ports)} inputs, {len(inputs)} were given")
        for port, array in zip(ports, inputs, strict=True):
            if array.shape != port.shape or array.dtype != np.dtype(port.dtype):
                raise OptionError(f"input '{port.name}' is {port}, not {array.dtype}{list(array.shape)}")
            if port.rows:
                self._taken = np.ascontiguousarray(array).tobytes()
            elif port.nbytes:
                start = self._arenas[port.arena] + port.offset
                ctypes.memmove(start, np.ascontiguousarray(array).tobytes(), port.nbytes)

    def invoke(self) -> None:
        """One inference on what `store` left in the arena; what passes row by row is handed over."""
        if not self.interface.by_rows:
            self._invoke(self._arena)
            return
        taken, self._given = self._taken, b""
        event = self._call("begin", ctypes.c_int)
        while event != Event.COMPLETE:
            if event == Event.ROW_WANTED:
                size = next(port.row_bytes for port in self.interface.inputs if port.rows)
                ctypes.memmove(self._call("next_row", ctypes.c_void_p), taken[:size], size)
                taken = taken[size:]
            else:
                size = next(port.row_bytes for port in self.interface.outputs if port.rows)
                self._given += ctypes.string_at(self._call("out_row", ctypes.c_void_p), size)
            event = self._call("row_done", ctypes.c_int)

    def _call(self, verb: str, kind: type[ctypes.c_int | ctypes.c_void_p]) -> int:
        function = self._function(verb)
        function.restype = kind
        return int(function(self._arena))

    def results(self) -> tuple[Array, ...]:
        """Copies of the outputs."""
        return tuple(map(self._result, self.interface.outputs))

    def _result(self, port: Port) -> Array:
        if port.rows:
            return np.frombuffer(self._given, np.dtype(port.dtype)).reshape(port.shape)
        start = self._arenas[port.arena] + port.offset
        if port.symbol:
            start = ctypes.addressof((ctypes.c_uint8 * port.nbytes).in_dll(self._library, port.symbol))
        data = ctypes.string_at(start, port.nbytes) if port.nbytes else b""
        return np.frombuffer(data, np.dtype(port.dtype)).reshape(port.shape)

    def _put(self, constant: Constant) -> None:
        array = (ctypes.c_uint8 * len(constant.data)).in_dll(self._library, constant.symbol)
        ctypes.memmove(array, constant.data, len(constant.data))


class HostProgram(HostBundle):
    """A program compiled for this machine."""

    def __init__(
        self,
        program: Program,
        *,
        flags: Sequence[str] = ("-O2",),
        warnings: Sequence[str] = WARNINGS,
        compiler: Sequence[str] = (),
    ) -> None:
        """Compile; same errors."""
        self.program = program
        constants = tuple(constants_of(program).values())
        many = sum(len(constant.data) for constant in constants) > MANY_CONSTANTS
        files = emit(program, weights=not many)
        if many:
            files["room.c"] = _room_for(constants)
        with tempfile.TemporaryDirectory(prefix="thimble-") as folder:
            write_files(Path(folder), files)
            sources = [Path(folder) / name for name in files if name.endswith(".c") and not name.endswith("_arena.c")]
            super().__init__(interface_of(program), sources, flags=flags, warnings=warnings, compiler=compiler)
        for constant in constants if many else ():
            self._put(constant)
        if many:
            self.reset()  # first values of variables are constants

    def __enter__(self) -> HostProgram:
        return self


def _room_for(constants: Sequence[Constant]) -> str:
    """A C file with arrays of the constants' names and sizes, to be filled once it is loaded."""
    lines = [f"_Alignas({constant_alignment(c)}) uint8_t {c.symbol}[{len(c.data)}];" for c in constants]
    return "\n".join(["#include <stdint.h>", *lines]) + "\n"


def host_compiler() -> tuple[str, ...]:
    """The C compiler's command: `$CC`, else cc, gcc or clang, else the one that PyPI's `ziglang` carries.

    Raises:
        OptionError: there is none.
    """
    if os.environ.get("CC"):
        return tuple(os.environ["CC"].split())
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    zig = zig_compiler()
    if zig:
        return zig
    raise OptionError("no C compiler found: install gcc or clang, or the Python package ziglang (extra `zig`)")


def zig_compiler() -> tuple[str, ...]:
    """The clang of the Python package `ziglang`; empty if it is not installed."""
    from importlib.util import find_spec

    return (sys.executable, "-m", "ziglang", "cc") if find_spec("ziglang") else ()


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise OptionError(f"the C compiler {command[0]} cannot be started: {error.strerror or error}") from None


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write texts by path below a folder, which is made."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
