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
from pathlib import Path
from types import TracebackType

import numpy as np

from thimble.emit import emit
from thimble.errors import OptionError
from thimble.ir import Array, Kind, Tensor
from thimble.program import Program

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic")
"""What every bundle must compile with."""


class HostProgram:
    """A program compiled for this machine. Variables keep their values from one `run` to the next until `reset`."""

    def __init__(self, program: Program, *, flags: Sequence[str] = ("-O2",), compiler: Sequence[str] = ()) -> None:
        """Compile.

        Raises:
            OptionError: there is no C compiler, or it refuses the sources.
        """
        self.program = program
        self._folder = tempfile.TemporaryDirectory(prefix="thimble-")
        folder = Path(self._folder.name)
        files = emit(program)
        write_files(folder, files)
        sources = [str(folder / name) for name in files if name.endswith(".c")]
        library = folder / "bundle.so"
        command = [*(compiler or host_compiler()), "-std=c11", *WARNINGS, *flags, "-shared", "-fPIC", *sources]
        done = subprocess.run([*command, "-lm", "-o", str(library)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OptionError(f"{command[0]} refuses the bundle:\n{done.stderr.strip()[:4000]}")
        self._library = ctypes.CDLL(str(library))
        arena = program.arenas[0]
        self._block = ctypes.create_string_buffer(max(1, arena.size) + 64)
        self._arena = -ctypes.addressof(self._block) % 64
        self.reset()

    def __enter__(self) -> HostProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def reset(self) -> None:
        """Forget all variables."""
        getattr(self._library, f"{self.program.name}_init")(self._address())

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Outputs for the given inputs, which must have the shapes and types of the model's."""
        graph = self.program.graph
        if len(inputs) != len(graph.inputs):
            raise OptionError(f"the model has {len(graph.inputs)} inputs, {len(inputs)} were given")
        for index, array in zip(graph.inputs, inputs, strict=True):
            self._store(graph.tensors[index], array)
        getattr(self._library, f"{self.program.name}_invoke")(self._address())
        return tuple(self._result(graph.tensors[index]) for index in graph.outputs)

    def _address(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(ctypes.addressof(self._block) + self._arena)

    def _store(self, tensor: Tensor, array: Array) -> None:
        if array.shape != tensor.shape or array.dtype != np.dtype(tensor.dtype.label):
            wanted = f"{tensor.dtype.label}{list(tensor.shape)}"
            raise OptionError(f"input '{tensor.name}' is {wanted}, not {array.dtype}{list(array.shape)}")
        if tensor.nbytes:
            data = np.ascontiguousarray(array).tobytes()
            ctypes.memmove(ctypes.addressof(self._block) + self._arena + self.program.place(tensor)[1], data, len(data))

    def _result(self, tensor: Tensor) -> Array:
        kind = np.dtype(tensor.dtype.label)
        if tensor.kind is Kind.CONSTANT or not tensor.nbytes:
            return np.frombuffer((tensor.data or b"")[: tensor.nbytes], kind).reshape(tensor.shape)
        start = self._arena + self.program.place(tensor)[1]
        return np.frombuffer(self._block.raw[start : start + tensor.nbytes], kind).reshape(tensor.shape)


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
    raise OptionError("no C compiler found: install gcc or clang, or `pip install ziglang`")


def zig_compiler() -> tuple[str, ...]:
    """The clang of the Python package `ziglang`; empty if it is not installed."""
    from importlib.util import find_spec

    return (sys.executable, "-m", "ziglang", "cc") if find_spec("ziglang") else ()


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Write texts by path below a folder, which is made."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
