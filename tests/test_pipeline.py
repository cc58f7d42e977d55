# SPDX-License-Identifier: Apache-2.0
"""The Python API: the same answers as the command line, as values."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import thimble
import thimble.pipeline
from thimble.climb import tflm_plan
from thimble.errors import InternalError
from thimble.exporters.offline import PLAN_NAME, plan_bytes
from thimble.lifetime import shipped_schedule
from thimble.memory import Placement
from thimble.target import TARGETS, target_named
from thimble.tflm import predict
from thimble.units import exact, human, parse_bytes
from thimble.verify import verify_plan
from tiny_tflite import Ints, Table, encode, graph, operator, tensor


def test_fit_is_a_value_with_a_certificate() -> None:
    verdict = thimble.fit(thimble.load("demo"), board="nucleo-l4r5zi")
    assert verdict.fits and verdict.clash is None and verdict.chosen is verdict.rungs[0]
    shipped = verdict.rungs[0]
    assert shipped.arena_bytes >= shipped.lower_bound_bytes
    assert verdict.target == "cortex-m4"  # the board's core


def test_does_not_fit_is_a_value_with_a_witness() -> None:
    model = thimble.load("demo")
    need = thimble.fit(model, max_ram=1 << 30, runtime="tflm").ram_bytes
    verdict = thimble.fit(model, max_ram=need - 1, runtime="tflm")
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


def npu_model(metadata: list[Table], offsets: list[int] | None = None) -> bytes:
    """A custom operator with work space among its inputs, as NPU compilers write it."""
    tensors = [tensor(b"x", (16,)), tensor(b"work", (64,)), tensor(b"y", (16,))]
    return encode(
        {
            0: ("I", 3),
            1: [{0: ("b", 32), 1: b"npu", 3: ("i", 32)}],
            2: [graph(tensors, (0,), (2,), [operator(0, (1, 0), (2,))])],
            4: [{}, {0: Ints("B", tuple(plan_bytes(offsets or [0, 0, 16])))}],
            6: metadata,
        }
    )


def test_work_space_of_custom_operators_is_mapped_and_left_alone(tmp_path: Path) -> None:
    file, out = tmp_path / "npu.tflite", tmp_path / "out.tflite"
    file.write_bytes(npu_model([]))
    assert thimble.memory_map(thimble.load(file)).peak_bytes == 16 + 64 + 16
    overlaid = npu_model([{0: PLAN_NAME, 1: ("I", 1)}])  # x and y lie in the work space, as the operator wants it
    file.write_bytes(overlaid)
    verdict = thimble.fit(thimble.load(file), max_ram=4096)
    assert verdict.fits and any("the file's own memory plan shares bytes" in notice for notice in verdict.notices)
    thimble.pipeline.optimize(file, out)
    assert out.read_bytes() == overlaid


@pytest.mark.parametrize("offsets", [[-5, 0, 0], [0, 0]])
def test_a_plan_that_tflm_cannot_use_is_named_and_dropped(offsets: list[int], tmp_path: Path) -> None:
    file = tmp_path / "x.tflite"
    file.write_bytes(npu_model([{0: PLAN_NAME, 1: ("I", 1)}], offsets))
    notices = thimble.fit(thimble.load(file), max_ram=4096).notices
    assert any("OfflineMemoryAllocation metadata" in notice for notice in notices)


@pytest.mark.parametrize(
    ("text", "count"), [("262144", 262144), ("256k", 262144), ("256 KiB", 262144), ("0.25M", 262144), ("1_000", 1000)]
)
def test_sizes_as_people_write_them(text: str, count: int) -> None:
    assert parse_bytes(text, "--max-ram") == count


def test_sizes_as_people_read_them() -> None:
    assert [human(n) for n in (0, 1023, 1024, 1536, 1 << 20)] == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB"]
    assert exact(22_820) == "22,820 B (22.3 KiB)"
