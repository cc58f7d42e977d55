# SPDX-License-Identifier: Apache-2.0
"""The self-test of a bundle: inputs that C and Python make up alike, and what the NumPy reference returns for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from string import Template

import numpy as np

from thimble import c_arenas, c_rows
from thimble.emit import C_TYPES, decimal, literal
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.ir import Array, DType, Graph, Kind, Model, Shape, Tensor
from thimble.program import Program

CASES = 2
SAMPLES = 1024
"""Elements of an output that are compared one by one; of larger ones a checksum of all bytes counts besides."""
TOLERANCE = 1e-4  # of floats, relative to the largest expected value
_INTEGERS = {DType.INT8: (8, -128), DType.UINT8: (8, 0), DType.INT16: (16, -32768), DType.UINT16: (16, 0)}
_BITS = (DType.BOOL, DType.INT32, DType.UINT32, DType.INT64, DType.UINT64)
_REALS = (DType.FLOAT32, DType.FLOAT64)
TESTABLE = frozenset((*_INTEGERS, *_BITS, *_REALS))
"""Types of inputs and outputs that a self-test can fill and compare."""


@dataclass(frozen=True, slots=True)
class Case:
    """Expected outputs of the main graph for the known inputs of one case."""

    outputs: tuple[Array, ...]


def known_inputs(graph: Graph, number: int) -> tuple[Array, ...]:
    """Inputs of a case: the whole range of the types in even cases, the middle quarter in odd ones.

    Integers of more than 16 bits are 0 or 1, floats lie in [-1, 1) or [-0.25, 0.25).
    The same as `templates/selftest_values.h`.
    """
    tensors = [graph.tensors[index] for index in graph.inputs]
    return tuple(known_values(t.dtype, t.shape, place, number) for place, t in enumerate(tensors))


def known_values(dtype: DType, shape: Shape, place: int, number: int) -> Array:
    """Values of the input at a place in the model's order; a type in `TESTABLE`."""
    words = _words(math.prod(shape), place, number)
    if dtype in _INTEGERS:
        bits, low = _INTEGERS[dtype]
        values: Array = (words >> np.uint32(32 - bits)).astype(np.int64)
        values = values if number % 2 == 0 else values // 4 + (3 << (bits - 3))
        values = values + low
    elif dtype in _REALS:
        values = (words >> np.uint32(8)).astype(np.int64) - (1 << 23)
        values = values / (1 << (23 if number % 2 == 0 else 25))
    else:
        values = words >> np.uint32(31)
    return np.asarray(values, dtype.label).reshape(shape)


def _words(count: int, place: int, number: int) -> Array:
    """`thimble_known` for all elements at once; arithmetic modulo 2**32."""
    start = ((place + 1) * 0x85EBCA6B + (number + 1) * 0xC2B2AE35) & 0xFFFFFFFF
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(start)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return np.asarray(x ^ (x >> np.uint32(16)))


def expected(model: Model) -> tuple[Case, ...] | str:
    """What the reference returns for the known inputs, one case after another; or why there is no self-test."""
    graph = model.main
    for tensor in (graph.tensors[i] for i in (*graph.inputs, *graph.outputs)):
        if tensor.dtype not in TESTABLE:
            return f"no self-test: '{tensor.name}' is {tensor.dtype.label}"
    reference = Executor(model)
    try:
        return tuple(Case(reference.run(*known_inputs(graph, number))) for number in range(CASES))
    except UnsupportedOperatorError as error:
        return f"no self-test: {error}"


def selftest_files(program: Program, cases: tuple[Case, ...]) -> dict[str, str]:
    """The self-test's C files by path: the function, the values that it needs, and a `main` in a file of its own."""
    words = {"name": program.name, "NAME": program.name.upper(), "cases": str(len(cases))}
    name = program.name
    arrays, checks, row_checks = _outputs(program, cases)
    return {
        f"{name}_selftest.h": _template("selftest.h").substitute(words),
        f"{name}_selftest.c": _template("selftest.c").substitute(
            words,
            expected="\n".join(arrays),
            clear="\n".join(c_arenas.clearing(program)),
            fills="\n".join(_fills(program)) or "  (void)number;",
            checks="\n".join(checks) or "  (void)number;",
            rows=_row_by_row(program, row_checks) if program.position is not None else "",
            run="    if (run(number)) {\n      return (int)number + 1;\n    }"
            if program.position is not None
            else f"    {name}_invoke({name}_arena);",
        ),
        f"{name}_selftest_main.c": _template("selftest_main.c").substitute(words),
        "thimble/selftest.h": _template("selftest_values.h").template,
    }


def _fills(program: Program) -> Iterator[str]:
    name = program.name
    for place, index in enumerate(program.graph.inputs):
        tensor = program.graph.tensors[index]
        if tensor.elements and tensor.kind is not Kind.OUTSIDE:
            at = f"{name}_input_{place}({name}_arena)"
            yield f"  thimble_fill_{tensor.dtype.label}({at}, 0u, {tensor.elements}u, {place}u, number);"


def _row_by_row(program: Program, checks: list[str]) -> str:
    """The function that runs an inference row by row, and compares the rows of an output on the way."""
    name, upper = program.name, program.name.upper()
    fill = ""
    for own in c_rows.handed(program):
        if own.kind == "input":
            size = f"{upper}_INPUT_{own.index}_ROW_ELEMENTS"
            row = f"{name}_next_row({name}_arena), written++ * {size}, {size}, {own.index}u, number"
            fill = f"      thimble_fill_{own.tensor.dtype.label}({row});"
    loop = c_rows.feeding(program, fill, "\n".join([*checks, "      read++;"]), f"{name}_arena")
    counts = {"input": "  uint32_t written = 0;", "output": "  uint32_t read = 0;"}
    used = [counts[own.kind] for own in c_rows.handed(program)]
    unused = [] if fill or checks else ["  (void)number;"]
    return "\n".join(
        ["static int run(uint32_t number) {", *used, "  int wrong = 0;", *unused, loop, "  return wrong;", "}", ""]
    )


def _outputs(program: Program, cases: tuple[Case, ...]) -> tuple[list[str], list[str], list[str]]:
    """Definitions of the expected values, the statements that compare with them, and those for each row handed over."""
    arrays: list[str] = []
    checks: list[str] = []
    row_checks: list[str] = []
    for number, case in enumerate(cases):
        for place, (index, values) in enumerate(zip(program.graph.outputs, case.outputs, strict=True)):
            tensor = program.graph.tensors[index]
            if not tensor.elements:
                continue
            symbol = f"want_{number}_{place}"
            stride = -(-tensor.elements // SAMPLES)
            by_rows = tensor.kind is Kind.OUTSIDE
            samples = np.ascontiguousarray(values.reshape(tensor.shape[1] if by_rows else 1, -1)[:, ::stride])
            text = literal(tensor.dtype, samples.tobytes())
            declared = f"static const THIMBLE_FLASH {C_TYPES[tensor.dtype]} {symbol}[{samples.size}]"
            arrays.append(f"THIMBLE_EXPECTED {declared} = {{\n  {text}\n}};\n")
            per_row = samples.shape[1]
            if by_rows:
                got, want = f"{program.name}_out_row({program.name}_arena)", f"{symbol} + read * {per_row}u"
                call = _differs(tensor, got, (want, per_row, stride), values)
                row_checks.append(f"      wrong |= number == {number}u && {call};")
            else:
                got = f"{program.name}_output_{place}({program.name}_arena)"
                checks += _checks(tensor, got, number, (symbol, per_row, stride), values)
    return arrays, checks, row_checks


def _differs(tensor: Tensor, got: str, sampled: tuple[str, int, int], values: Array) -> str:
    """The call that compares samples of an output."""
    want, samples, stride = sampled
    tolerance = ""
    if tensor.dtype in _REALS:
        largest = float(np.abs(values[np.isfinite(values)]).max(initial=0))
        tolerance = f", {decimal(max(largest, 1e-6) * TOLERANCE)}"
    return f"thimble_differs_{tensor.dtype.label}({got}, {want}, {samples}u, {stride}u{tolerance})"


def _checks(tensor: Tensor, got: str, number: int, sampled: tuple[str, int, int], values: Array) -> Iterator[str]:
    yield f"  if (number == {number}u && {_differs(tensor, got, sampled, values)}) {{\n    return 1;\n  }}"
    if sampled[2] > 1 and tensor.dtype not in _REALS:
        data = np.ascontiguousarray(values).tobytes()
        check = f"thimble_checksum({got}, {len(data)}u) != UINT32_C({checksum(data):#x})"
        yield f"  if (number == {number}u && {check}) {{\n    return 1;\n  }}"


def checksum(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    total = 0x811C9DC5
    for byte in data:
        total = (total ^ byte) * 0x01000193 & 0xFFFFFFFF
    return total


def _template(name: str) -> Template:
    return Template((resources.files("thimble") / "templates" / name).read_text(encoding="utf-8"))
