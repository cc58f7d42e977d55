# SPDX-License-Identifier: Apache-2.0
"""The Python API: the same answers as the command line, as values."""

from __future__ import annotations

import dataclasses

import pytest

import thimble
from thimble.errors import InternalError
from thimble.lifetime import shipped_schedule
from thimble.memory import Placement
from thimble.pipeline import tflm_plan
from thimble.target import TARGETS, target_named
from thimble.tflm import predict
from thimble.units import exact, human, parse_bytes
from thimble.verify import verify_plan


def test_fit_is_a_value_with_a_certificate() -> None:
    verdict = thimble.fit(thimble.load("demo"), board="nucleo-l4r5zi")
    assert verdict.fits and verdict.clash is None and verdict.chosen is verdict.rungs[0]
    shipped = verdict.rungs[0]
    assert shipped.arena_bytes >= shipped.lower_bound_bytes
    assert verdict.target == "cortex-m4"  # the board's core


def test_does_not_fit_is_a_value_with_a_witness() -> None:
    model = thimble.load("demo")
    need = thimble.fit(model, max_ram=1 << 30).ram_bytes
    verdict = thimble.fit(model, max_ram=need - 1)
    assert not verdict.fits and verdict.chosen is None and verdict.clash is not None
    assert verdict.clash.ram_excess == 1
    assert sum(size for _, size in verdict.clash.tensors) == thimble.memory_map(model).peak_bytes


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_the_shipped_plan_passes_the_verifier_on_every_target(target: str) -> None:
    model = thimble.load("demo")
    verify_plan(tflm_plan(model, shipped_schedule(model.main), predict(model, target_named(target))))


def test_a_moved_tensor_does_not_pass_the_verifier() -> None:
    model = thimble.load("demo")
    plan = tflm_plan(model, shipped_schedule(model.main), predict(model, target_named("host")))
    (first, _), *rest = plan.placements
    others = [place for _, place in rest if place.offset]
    assert others
    moved = dataclasses.replace(plan, placements=tuple((tensor, Placement(0, 0)) for tensor, _ in plan.placements))
    assert first is not None
    with pytest.raises(InternalError, match="was overwritten by"):
        verify_plan(moved)


@pytest.mark.parametrize(
    ("text", "count"), [("262144", 262144), ("256k", 262144), ("256 KiB", 262144), ("0.25M", 262144), ("1_000", 1000)]
)
def test_sizes_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text, "--max-ram") == count


def test_sizes_as_people_read_them() -> None:
    assert [human(n) for n in (0, 1023, 1024, 1536, 1 << 20)] == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB"]
    assert exact(22_820) == "22,820 B (22.3 KiB)"
