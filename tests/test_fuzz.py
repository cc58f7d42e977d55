# SPDX-License-Identifier: Apache-2.0
"""Damaged files end in one clear error, in time and within memory. `make fuzz` runs many more."""

from __future__ import annotations

import random

import pytest

import mutate
from thimble.importers.tflite import parse_tflite


def test_damaged_files() -> None:
    """500 cases in a worker with 2 GiB of address space; see `mutate.py` for what may not happen."""
    summary = mutate.Summary()
    for result in mutate.run(seed=2, count=500):
        summary.add(*result)
    assert summary.cases == 500
    assert summary.escapes == [], str(summary)
    assert summary.slowest < mutate.SECONDS_PER_CASE
    # The damage reaches every depth: some files are still sound, and the others fail in many ways.
    assert summary.accepted > 20
    assert len(summary.rejected) > 20


def test_a_case_is_always_the_same_file() -> None:
    bases = mutate.own_bases()
    assert [mutate.case(bases, 1, n) for n in range(50)] == [mutate.case(bases, 1, n) for n in range(50)]
    assert mutate.case(bases, 1, 0) != mutate.case(bases, 2, 0)


@pytest.mark.parametrize("mutation", sorted(set(mutate.MUTATIONS), key=lambda m: m.__name__))
def test_each_mutation_damages(mutation: mutate.Mutation) -> None:
    base = mutate.own_bases()[0]
    rng = random.Random(3)
    changed = 0
    for _ in range(20):
        data = bytearray(base)
        mutation(data, mutate.layout_of(base), rng)
        changed += bytes(data) != base
    assert changed > 5


def test_the_own_bases_are_sound() -> None:
    models = [parse_tflite(data, "own.tflite") for data in mutate.own_bases()]
    assert [len(model.graphs) for model in models] == [1, 2]


def test_escapes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: foreign exceptions, messages without the file's name or with line breaks escape."""
    good = mutate.own_bases()[0]

    def explode(error: Exception) -> None:
        def parse(data: bytes, file: str) -> None:
            raise error

        monkeypatch.setattr(mutate, "parse_tflite", parse)

    for error in (ValueError("x.tflite"), mutate.TooSlowError("slow"), MemoryError(), RecursionError()):
        explode(error)
        assert mutate.outcome(good)[0] == "escaped"
    for text in ("", "no name of the file here", "x.tflite: two\nlines of text", "x.tflite: " + "long" * 1000):
        explode(mutate.ThimbleError(text))
        assert mutate.outcome(good)[0] == "escaped"
    explode(mutate.ThimbleError("x.tflite: the model has no graph"))
    assert mutate.outcome(good) == ("rejected", "x.tflite: the model has no graph")
