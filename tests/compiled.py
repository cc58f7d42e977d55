# SPDX-License-Identifier: Apache-2.0
"""What the tests of compiled code share: compile a model for the host and hold it against the NumPy reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from thimble.compile import compile_model
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Array, DType, Model, Tensor
from thimble.kernel import Flavour

SANITIZED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
FLOAT_TOLERANCE = 1e-5  # relative to the largest value


def check_compiled(
    model: Model,
    *,
    flavour: Flavour = Flavour.PORTABLE,
    flags: Sequence[str] = SANITIZED,
    inputs: Sequence[tuple[Array, ...]] | None = None,
    tolerance: float = FLOAT_TOLERANCE,
) -> None:
    """Compile, run on several inputs one after another, and compare with the reference: equal, floats nearly so."""
    given = list(inputs) if inputs is not None else list(edge_inputs(model))
    reference = Executor(model)
    with HostProgram(compile_model(model, flavour=flavour, optimize=None), flags=flags) as compiled:
        for values in given:
            for got, wanted in zip(compiled.run(*values), reference.run(*values), strict=True):
                assert_same(got, wanted, tolerance)


def assert_same(got: Array, wanted: Array, tolerance: float = FLOAT_TOLERANCE) -> None:
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
    else:
        largest = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * max(largest, 1e-6))


def edge_inputs(model: Model, seed: int = 1) -> Iterator[tuple[Array, ...]]:
    """Random values over the whole range, then the smallest, the largest, and a narrow range."""
    random = np.random.default_rng(seed)
    tensors = [model.main.tensors[i] for i in model.main.inputs]
    for kind in ("random", "low", "high", "narrow"):
        yield tuple(_values(tensor, kind, random) for tensor in tensors)


def _values(tensor: Tensor, kind: str, random: np.random.Generator) -> Array:
    dtype = np.dtype(tensor.dtype.label)
    if tensor.dtype is DType.BOOL:
        return random.integers(0, 2, tensor.shape).astype(bool)
    if dtype.kind == "f":
        low, high = {"random": (-1, 1), "low": (-1, -1), "high": (1, 1), "narrow": (-0.1, 0.1)}[kind]
        return np.asarray(random.uniform(low, high, tensor.shape)).astype(dtype)
    info = np.iinfo(dtype)
    low, high = {
        "random": (info.min, info.max),
        "low": (info.min, info.min),
        "high": (info.max, info.max),
        "narrow": (info.min // 4, info.max // 4),
    }[kind]
    return np.asarray(random.integers(low, high, tensor.shape, dtype=dtype, endpoint=True))
