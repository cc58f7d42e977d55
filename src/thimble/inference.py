# SPDX-License-Identifier: Apache-2.0
"""One inference of compiled code: arrays from files and back, and what the code made of them."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from thimble.emulate import Measurement
from thimble.errors import OptionError
from thimble.files import write_atomically
from thimble.host import HostBundle, Port
from thimble.ir import Array, DType
from thimble.selftest import TESTABLE, known_values

FLOAT_TOLERANCE = 1e-5  # relative to the largest value of the reference
MANY_STEPS = 100
_TYPES = {dtype.label: dtype for dtype in DType}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outputs against the NumPy reference: `exact` to the bit, `same` but for rounding of floats.

    `largest_difference` is in the units of the outputs' elements.
    """

    exact: bool
    same: bool
    largest_difference: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `thimble run` has to say.

    Attributes:
        name: prefix of the C names.
        target: processor that the code was compiled for; "host" where it ran on this machine.
        kernels: the flavour.
        made_up: the inputs are random data.
        ports: of the outputs.
        outputs: as the code returned them.
        milliseconds: of the inference on this machine; None when emulated.
        measurement: of the emulator.
        comparison: with the reference, if asked for.
    """

    name: str
    target: str
    kernels: str
    rung: int
    macs: int
    arena_bytes: int
    made_up: bool
    ports: tuple[Port, ...]
    outputs: tuple[Array, ...] = field(compare=False)
    milliseconds: float | None = None
    measurement: Measurement | None = None
    comparison: Comparison | None = None
    notices: tuple[str, ...] = ()


def host_flags(steps: int) -> tuple[str, ...]:
    """Flags for a program that is run once: one copy of each kernel where specialised ones take long to compile."""
    return ("-O2", "-DTHIMBLE_SHARE_KERNELS") if steps > MANY_STEPS else ("-O2",)


def run_on_host(bundle: HostBundle, inputs: Sequence[Array]) -> tuple[tuple[Array, ...], float]:
    """Outputs, and the milliseconds that the inference took."""
    bundle.store(*inputs)
    start = time.perf_counter()
    bundle.invoke()
    milliseconds = (time.perf_counter() - start) * 1e3
    return bundle.results(), milliseconds


def arrays_for(ports: Sequence[Port], files: Sequence[Path], *, as_float: bool = False) -> tuple[Array, ...]:
    """The inputs: from files in the model's order, or made up (always the same) where there are none.

    Args:
        ports: of the inputs.
        files: `.npy` files. An array with the right number of elements is reshaped.
        as_float: real numbers are quantized by the model's scales.

    Raises:
        OptionError: a file that cannot be read, or whose array does not suit the input.
    """
    if not files:
        return tuple(_made_up(port, place) for place, port in enumerate(ports))
    if len(files) != len(ports):
        wanted = ", ".join(f"'{port.name}' {port}" for port in ports) or "none"
        raise OptionError(f"{len(files)} inputs were given, the model has {len(ports)}: {wanted}")
    return tuple(
        suited(read_array(file), port, str(file), as_float=as_float) for file, port in zip(files, ports, strict=True)
    )


def _made_up(port: Port, place: int) -> Array:
    dtype = _TYPES[port.dtype]
    if dtype not in TESTABLE:
        raise OptionError(f"input '{port.name}' is {port}: no values can be made up for it, give --input")
    return known_values(dtype, port.shape, place, 0)


def read_array(file: Path) -> Array:
    """The array in a `.npy` file.

    Raises:
        OptionError: the file cannot be read, or holds something else.
    """
    try:
        found = np.load(file, allow_pickle=False)
    except OSError as error:
        raise OptionError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise OptionError(f"{file}: is not a .npy file with numbers: {error}") from None
    if not isinstance(found, np.ndarray):
        raise OptionError(f"{file}: holds several arrays; give one .npy file per input")
    return found


def suited(array: Array, port: Port, source: str, *, as_float: bool = False) -> Array:
    """The array as the input wants it.

    Raises:
        OptionError: another number of elements, or another type.
    """
    if array.size != port.elements:
        raise OptionError(f"{source}: {array.dtype}{list(array.shape)} is not input '{port.name}', which is {port}")
    array = array.reshape(port.shape)
    if as_float and array.dtype.kind in "fiub":
        return quantized(array, port)
    if array.dtype.newbyteorder("=") != np.dtype(port.dtype):
        hint = "; --float converts real numbers" if array.dtype.kind == "f" else ""
        raise OptionError(f"{source}: is {array.dtype}, input '{port.name}' is {port.dtype}{hint}")
    return np.asarray(array, port.dtype)


def quantized(array: Array, port: Port) -> Array:
    """Real numbers as the integers that stand for them, rounded to nearest, ties to even, and saturated."""
    if port.scale is None:
        return array.astype(port.dtype)
    info = np.iinfo(port.dtype)
    steps = np.rint(array.astype(np.float64) / port.scale) + port.zero_point
    if np.isnan(steps).any():
        raise OptionError(f"input '{port.name}': not-a-number cannot be quantized")
    return np.asarray(np.clip(steps, info.min, info.max), port.dtype)


def real(array: Array, port: Port) -> Array:
    """The real numbers that an output stands for."""
    if port.scale is None:
        return array
    return np.asarray((array.astype(np.float64) - port.zero_point) * port.scale, np.float32)


def compared(outputs: Sequence[Array], wanted: Sequence[Array]) -> Comparison:
    """Hold outputs against the reference's."""
    exact = same = True
    worst = 0.0
    for got, want in zip(outputs, wanted, strict=True):
        equal = np.array_equal(got, want, equal_nan=want.dtype.kind == "f")
        exact = exact and equal
        if equal or not want.size:
            continue
        difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
        largest = float(np.nanmax(difference)) if np.isfinite(difference).any() else float("inf")
        worst = max(worst, largest)
        scale = float(np.abs(want[np.isfinite(want)]).max(initial=0)) if want.dtype.kind == "f" else 0.0
        agree = np.array_equal(np.isfinite(got), np.isfinite(want)) if want.dtype.kind == "f" else False
        same = same and agree and largest <= FLOAT_TOLERANCE * max(scale, 1e-6)
    return Comparison(exact, same, worst)


def write_outputs(path: Path, arrays: Sequence[Array]) -> tuple[Path, ...]:
    """Write outputs as `.npy`: the first to the path, further ones beside it as NAME_1.npy, NAME_2.npy, ..."""
    paths = tuple(path if not n else path.with_name(f"{path.stem}_{n}{path.suffix}") for n in range(len(arrays)))
    for place, array in zip(paths, arrays, strict=True):
        data = io.BytesIO()
        np.save(data, array)
        write_atomically(place, data.getvalue())
    return paths
