# SPDX-License-Identifier: Apache-2.0
"""Runs models on LiteRT or TFLM in a process of its own, since either may abort instead of raising.

As a script: `run_tflite.py RUNTIME OUT.npz MODEL...`; as a module: `outputs(runtime, paths, folder)`. Each model
is run on two seeded random inputs, each in an interpreter of its own, so that no state is carried over.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

CASES = 2
ARENA = 96 << 20  # bytes
HAS_LITERT = importlib.util.find_spec("ai_edge_litert") is not None
HAS_TFLM = importlib.util.find_spec("tflite_micro") is not None

Outputs = dict[str, list[list[np.ndarray]]]


def outputs(runtime: str, paths: list[Path], folder: Path) -> Outputs:
    """Outputs per file stem, then per case, then per output; runtimes are `litert`, `litert_ref` and `tflm`."""
    target = folder / f"{runtime}.npz"
    command = [sys.executable, __file__, runtime, str(target), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{runtime} failed: {done.stderr[-2000:]}"
    result: Outputs = {path.stem: [[] for _ in range(CASES)] for path in paths}
    with np.load(target) as stored:
        for key in stored.files:
            name, case, _ = key.rsplit("/", 2)
            result[name][int(case)].append(stored[key])
    return result


def sample(case: int, shape: Any, dtype: Any) -> np.ndarray:
    random = np.random.default_rng(case)
    if np.dtype(dtype).kind == "f":
        return random.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max + 1, shape).astype(dtype)


def run_litert(data: bytes, case: int, resolver: str) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    runner = Interpreter(model_content=data, experimental_op_resolver_type=getattr(OpResolverType, resolver))
    runner.allocate_tensors()
    for detail in runner.get_input_details():
        runner.set_tensor(detail["index"], sample(case, detail["shape"], detail["dtype"]))
    runner.invoke()
    return [runner.get_tensor(detail["index"]) for detail in runner.get_output_details()]


def run_tflm(data: bytes, case: int) -> list[np.ndarray]:
    import tflite
    from tflite_micro.python.tflite_micro import runtime

    runner = runtime.Interpreter.from_bytes(data, arena_size=ARENA)
    graph = tflite.Model.GetRootAs(data, 0).Subgraphs(0)
    for place in range(graph.InputsLength()):
        detail = runner.get_input_details(place)
        runner.set_input(sample(case, detail["shape"], detail["dtype"]), place)
    runner.invoke()
    return [runner.get_output(place) for place in range(graph.OutputsLength())]


def main(runtime: str, target: str, *paths: str) -> None:
    stored = {}
    for path in map(Path, paths):
        data = path.read_bytes()
        for case in range(CASES):
            print(f"{runtime}: {path.name}, case {case}", file=sys.stderr, flush=True)  # names the model that aborts
            resolver = "BUILTIN_REF" if runtime == "litert_ref" else "BUILTIN"
            found = run_tflm(data, case) if runtime == "tflm" else run_litert(data, case, resolver)
            stored.update({f"{path.stem}/{case}/{place:03}": value for place, value in enumerate(found)})
    np.savez(target, **stored)


if __name__ == "__main__":
    main(*sys.argv[1:])
