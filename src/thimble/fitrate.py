# SPDX-License-Identifier: Apache-2.0
"""How many models fit a memory that holds weights and activations, before and after each rung.

Source: the question and the published shares are CEVA's, for an accelerator with 2 or 4 MB of L2 memory that holds
weights and activations: 13 to 66 % and 38 to 83 % of its models (buffer-allocation ordering and buffer merging).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from thimble.choose import Goal
from thimble.climb import build, climb
from thimble.compile import HIGHEST_RUNG, compile_model
from thimble.errors import InternalError, OptionError, ThimbleError, UnsupportedOperatorError
from thimble.ir import Model
from thimble.kernel import Flavour
from thimble.target import Target

PUBLISHED = {2 << 20: (0.13, 0.66), 4 << 20: (0.38, 0.83)}
"""CEVA's shares of its models that fit, before and after, by bytes of L2."""
MODEL_FILES = (".tflite", ".onnx")
RUNGS = range(HIGHEST_RUNG + 1)
_LEANEST = partial(compile_model, optimize=Goal.RAM)


@dataclass(frozen=True, slots=True)
class Needs:
    """One model: bytes of its weights, and of the arena after each rung: the least that it or a lower one reaches.

    Rungs that were not planned, because those below settle what was asked, repeat the last one.
    `note`: why the rungs above 2 are missing, and those of stock TFLM count for them; or why all are (no arenas).
    """

    name: str
    weight_bytes: int
    arenas: tuple[int, ...]
    note: str = ""

    def fits(self, rung: int, size: int) -> bool:
        return self.weight_bytes + self.arenas[rung] <= size


def model_files(paths: Sequence[str]) -> tuple[Path, ...]:
    """The files, and all model files in the folders (and theirs), each once and in order of their names per folder.

    Raises:
        OptionError: a path that is not there, or a folder without models.
    """
    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not path.exists():
            raise OptionError(f"{text}: there is no such file or folder")
        inside = sorted(p for p in path.rglob("*") if p.suffix in MODEL_FILES) if path.is_dir() else [path]
        if not inside:
            raise OptionError(f"{text}: there are no models ({', '.join(MODEL_FILES)}) in this folder")
        found.update(dict.fromkeys(inside))
    return tuple(found)


def needs(model: Model, core: Target, sizes: Sequence[int] = ()) -> Needs:
    """Weights and arenas of a model: rungs 0 to 2 with stock TFLM, the others as portable compiled code.

    With sizes it climbs only until it is known which of them the model fits. Never raises: what cannot be planned is
    noted.
    """
    weights = sum(graph.constant_bytes() for graph in model.graphs)
    arenas: list[int] = []
    note = ""
    try:
        arenas += [step.rung.arena_bytes for step in climb(model, core)]
        while len(arenas) < len(RUNGS) and not _settled(weights, min(arenas), sizes):
            built = build(model, RUNGS[len(arenas)], Flavour.PORTABLE, compiler=_LEANEST)
            arenas.append(built.rung.arena_bytes)
    except UnsupportedOperatorError as error:
        note = f"cannot be compiled: {error}"
    except (ThimbleError, InternalError) as error:
        note = f"cannot be planned: {error}"
    return Needs(model.name, weights, tuple(_least_so_far(arenas)), note)


def _settled(weights: int, arena: int, sizes: Sequence[int]) -> bool:
    """Whether less of an arena would change nothing: the model fits, or its weights alone do not."""
    return bool(sizes) and all(weights + arena <= size or weights > size for size in sizes)


def _least_so_far(arenas: list[int]) -> Iterator[int]:
    """What each rung and those below reach; rungs that are missing repeat the last."""
    if arenas:
        for rung in RUNGS:
            yield min(arenas[: rung + 1])


def share(found: Sequence[Needs], rung: int, size: int) -> float:
    """Which part of the models fits; those that could not be planned do not count."""
    planned = [model for model in found if model.arenas]
    return sum(model.fits(rung, size) for model in planned) / max(1, len(planned))


def table(found: Sequence[Needs], sizes: Sequence[int]) -> str:
    """One row per model as CSV: weights, the arena after each rung, and from which rung on it fits each size."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    arenas = [f"arena_bytes_rung_{rung}" for rung in RUNGS]
    writer.writerow(["model", "weight_bytes", *arenas, *(f"fits_{size}_from_rung" for size in sizes), "note"])
    for model in found:
        fits = [next((str(r) for r in RUNGS if model.arenas and model.fits(r, size)), "") for size in sizes]
        writer.writerow([model.name, model.weight_bytes, *(model.arenas or [""] * len(RUNGS)), *fits, model.note])
    return text.getvalue()
