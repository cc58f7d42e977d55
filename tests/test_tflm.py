# SPDX-License-Identifier: Apache-2.0
"""TFLM's memory: the greedy planner, lifetimes, scratch and persistent bytes, against TFLM itself."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_models as small
from thimble.errors import ModelError
from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import read_tflite
from thimble.ir import DType, Kind, Model, OpId
from thimble.target import TARGETS
from thimble.tflm import Request, Scratch, greedy, predict, requests
from thimble.tflm.persistent import VARIABLES
from thimble.tflm.structs import STRUCTS, struct_size

FOLDER = Path(os.environ.get("THIMBLE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
M4, M55, HOST = TARGETS["cortex-m4"], TARGETS["cortex-m55"], TARGETS["host"]
WHEEL = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None or not hasattr(os, "fork"),
    reason="tflite-micro is not installed; it has wheels for Linux and Python 3.11",
)


def shared(name: str) -> Model:
    path = FOLDER / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"no {path.name} in {FOLDER}; set THIMBLE_MODELS to a folder of models")
    return read_tflite(path)


# --- The planner


def slow_greedy(buffers: list[Request]) -> list[int]:
    """The same plan from its definition: each buffer at the lowest end of a coexisting one where it fits."""
    order = sorted(
        range(len(buffers)),
        key=lambda i: (buffers[i].offline == -1, buffers[i].offline == -1 and (-buffers[i].size, -i), i),
    )
    offsets: dict[int, int] = {}
    for i in order:
        one = buffers[i]
        if one.offline != -1:
            offsets[i] = one.offline
            continue
        others = [(offsets[j], offsets[j] + buffers[j].size) for j in offsets if coexist(one, buffers[j])]
        places = sorted({0, *(end for _, end in others)})
        offsets[i] = next(p for p in places if all(p + one.size <= start or end <= p for start, end in others))
    return [offsets[i] for i in range(len(buffers))]


def coexist(a: Request, b: Request) -> bool:
    return a.first <= b.last and b.first <= a.last


BUFFERS = st.lists(
    st.builds(
        lambda size, first, length: Request(16 * size, first, first + length),
        st.integers(1, 9),
        st.integers(0, 12),
        st.integers(0, 5),
    ),
    max_size=24,
)


@given(BUFFERS)
@settings(deadline=None)
def test_no_two_buffers_that_live_together_overlap(buffers: list[Request]) -> None:
    offsets, height = greedy(buffers)
    for i, a in enumerate(buffers):
        assert offsets[i] >= 0 and offsets[i] + a.size <= height
        for j, b in enumerate(buffers[:i]):
            if coexist(a, b):
                assert offsets[i] + a.size <= offsets[j] or offsets[j] + b.size <= offsets[i]


@given(BUFFERS)
@settings(deadline=None)
def test_greedy_equals_its_definition(buffers: list[Request]) -> None:
    assert list(greedy(buffers)[0]) == slow_greedy(buffers)


@given(BUFFERS, st.lists(st.integers(-1, 20), max_size=24))
@settings(deadline=None)
def test_prescribed_offsets_are_kept_and_planned_around(buffers: list[Request], places: list[int]) -> None:
    fixed = [
        dataclasses.replace(b, offline=16 * p if p >= 0 else -1)
        for b, p in zip(buffers, places + [-1] * len(buffers), strict=False)
    ]
    offsets, _ = greedy(fixed)
    assert list(offsets) == slow_greedy(fixed)
    assert all(o == b.offline for o, b in zip(offsets, fixed, strict=True) if b.offline >= 0)


def test_of_equal_buffers_the_last_goes_first() -> None:
    # TFLM fills its list from the tail and sorts stably, so equal sizes come out in reverse.
    assert greedy([Request(32, 0, 1), Request(32, 1, 2), Request(64, 2, 3)])[0] == (0, 64, 0)
    assert greedy([Request(32, 0, 1), Request(32, 0, 1)])[0] == (32, 0)


def test_greedy_takes_the_first_gap_that_fits() -> None:
    #   offset
    #   160 +-----------+
    #       | b 64      |        c must clear b, and fits exactly under it
    #    96 +-----+-----+
    #       | a   | c 96|
    #     0 +-----+-----+--> steps
    assert greedy([Request(96, 0, 0), Request(64, 0, 1), Request(96, 1, 1)])[0] == (0, 96, 0)
    assert greedy([]) == ((), 0)


def test_three_thousand_buffers_are_planned_at_once() -> None:
    many = [Request(16 * (1 + i * 7919 % 97), i % 1500, i % 1500 + i % 41) for i in range(3000)]
    start = time.perf_counter()
    greedy(many)
    assert time.perf_counter() - start < 2


# --- What is planned, and for how long


def test_lifetimes_count_scopes_as_tflm_does() -> None:
    # Inputs are there from scope 0; operator i is scope i + 1; the output lives to the end.
    found = requests(small.model(small.chain(20, 40, 10)))
    assert [(r.size, r.first, r.last) for r in found] == [(32, 0, 1), (48, 1, 2), (16, 2, 2)]


def test_control_flow_opens_a_scope_per_graph() -> None:
    found = requests(
        small.branches(), scratch=(Scratch(0, OpId(0), 16), Scratch(1, OpId(0), 16), Scratch(2, OpId(1), 16))
    )
    spans = {(r.graph, r.tensor if r.op is None else f"scratch {r.op}"): (r.first, r.last) for r in found}
    assert spans[0, 2] == (1, 8)  # the branch's operand lives through both graphs
    assert spans[1, 0] == (3, 5) and spans[2, 0] == (6, 8)
    assert spans[1, "scratch 0"] == (4, 4) and spans[2, "scratch 1"] == (8, 8)


def test_constants_variables_handles_and_empty_tensors_are_not_planned() -> None:
    assert {r.tensor for r in requests(small.svdf())} == {0, 5}
    assert {(r.graph, r.tensor) for r in requests(small.variable())} == {(0, 1), (0, 2), (0, 3)}
    assert {r.tensor for r in requests(small.model(small.chain(0, 8)))} == {1}


def test_a_tensor_that_nothing_touches_is_planned_at_no_time() -> None:
    untouched = next(r for r in requests(small.offline(128, -1, 0, -1, 64)) if r.tensor == 3)
    assert (untouched.first, untouched.last) == (-1, -1)


def test_another_order_moves_lifetimes_and_scratch() -> None:
    tensors = [small.tensor((8,), DType.INT8) for _ in range(4)]
    steps = [small.step("RELU", (0,), (1,)), small.step("RELU", (0,), (2,)), small.step("ADD", (1, 2), (3,))]
    model = small.model(small.graph(tensors, steps, (0,), (3,)))
    found = requests(model, order=(OpId(1), OpId(0), OpId(2)))
    assert [(r.first, r.last) for r in found] == [(0, 2), (2, 3), (1, 3), (3, 3)]
    assert predict(model, M4, order=(OpId(1), OpId(0), OpId(2))).total_bytes == predict(model, M4).total_bytes


# --- The offline plan


def test_the_models_own_plan_is_honoured() -> None:
    allocation = predict(small.offline(128, -1, 0, -1, 64), M4)
    offsets = {p.tensor: p.offset for p in allocation.plan}
    assert (offsets[0], offsets[2], offsets[4]) == (128, 0, 64) and allocation.exact


def test_an_offline_plan_of_the_wrong_length_is_left_out_and_said() -> None:
    model = small.offline(128, -1, 0, 64)
    with pytest.raises(ModelError, match="holds 4 offsets, the model has 5 tensors"):
        requests(model)
    allocation = predict(model, M4)
    assert not allocation.exact and "holds 4 offsets" in allocation.notices[0]


def test_a_variable_with_an_offline_offset_moves_from_the_tail_to_the_head() -> None:
    words = small.offline(-1, -1, -1, -1, 320, 0).metadata
    moved = predict(dataclasses.replace(small.svdf(1, DType.INT8), metadata=words), M4)
    assert next(p.offset for p in moved.plan if p.tensor == 4) == 320
    assert VARIABLES not in dict(moved.persistent_by_category)
    # Measured on the emulated Cortex-M4 as `tflm_models.MEASURED`.
    assert (moved.nonpersistent_bytes, moved.total_bytes) == (368, 788)


# --- Kernels and structs


@pytest.mark.parametrize("name", small.MEASURED)
@pytest.mark.parametrize("target", [M4, M55], ids=lambda t: t.name)
def test_single_kernels_equal_tflm_on_the_core(name: str, target: object) -> None:
    model, m4, m55 = small.MEASURED[name]
    allocation = predict(model, M4 if target is M4 else M55)
    assert (allocation.nonpersistent_bytes, allocation.total_bytes) == (m4 if target is M4 else m55)
    assert allocation.exact, allocation.notices


# sizeof() printed by TFLM itself on x86-64 and, with its short enums, on Cortex-M4.
SIZES = {
    "TfLiteTensor": (64, 32),
    "TfLiteEvalTensor": (24, 12),
    "NodeAndRegistration": (64, 32),
    "SingleArenaBufferAllocator": (72, 36),
    "RecordingMicroAllocator": (248, 124),
    "GreedyMemoryPlanner": (72, 44),
    "AllocationInfo": (32, 24),
    "OpDataConv": (72, 56),
    "OpDataFullyConnected": (64, 48),
    "OpDataLSTM": (688, 688),
    "SoftmaxParams": (80, 56),
    "TfLiteConvParams": (28, 28),
    "TfLiteVarHandleParams": (16, 8),
}


@pytest.mark.parametrize("name", SIZES)
def test_struct_sizes_are_the_compilers(name: str) -> None:
    plain = dataclasses.replace(HOST, wheel=False)
    assert (struct_size(name, plain), struct_size(name, M4)) == SIZES[name]


def test_every_struct_has_a_size_on_every_target() -> None:
    for target in TARGETS.values():
        assert all(struct_size(name, target) > 0 for name in STRUCTS)


def test_cores_without_dsp_run_the_plain_flavour() -> None:
    model = small.MEASURED["average pool int16"][0]
    assert predict(model, TARGETS["cortex-m0"]).scratch == ()
    assert [s.size for s in predict(model, M4).scratch] == [20]


# --- What TFLM does not run


def test_an_unknown_custom_operator_is_named_and_the_rest_predicted() -> None:
    model = small.custom("MyOp", [small.tensor((4,))], [small.tensor((4,))])
    allocation = predict(model, M4)
    assert not allocation.exact and "MyOp 'op0'" in allocation.notices[0]
    assert allocation.nonpersistent_bytes == 32


def test_hybrid_layers_are_named_as_refused() -> None:
    allocation = predict(small.conv((1, 8, 8, 4), (8, 3, 3, 4), (1, 8, 8, 8), DType.FLOAT32), HOST)
    assert not allocation.exact
    assert "CONV_2D 'op0'" in allocation.notices[0] and "float32 data with int8 weights" in allocation.notices[0]


def test_damaged_custom_options_do_not_fail() -> None:
    node = small.custom("SignalFramer", [small.tensor((2, 30), DType.INT16)], [small.tensor((2, 2, 20), DType.INT16)])
    broken = dataclasses.replace(
        node.main.ops[0], attrs=dataclasses.replace(node.main.ops[0].attrs, options=b"\xff\xff")
    )  # type: ignore[call-arg]
    model = small.model(dataclasses.replace(node.main, ops=(broken,)))
    assert not predict(model, M4).exact


def test_avr_is_predicted_but_said_to_have_no_port() -> None:
    allocation = predict(small.model(small.chain(8, 8)), TARGETS["avr"])
    assert allocation.total_bytes > 0 and "no port for avr" in allocation.notices[-1]


# --- Whole models: figures that TFLM reported, see each comment

# arena_used_bytes() of a plain MicroInterpreter, M4 and M55, CMSIS-NN, emulated; project facts, November 2026.
ARENA_USED = {
    "kws_ref_model_int8": (22_820, 27_348),  # M55: kernel sums of the last layer, and depthwise blocks of 124 channels
    "vww_96_int8": (100_708, 100_772),
    "pretrainedResnet_quant": (54_996, 55_028),
    "ad01_int8": (2_580, 9_268),  # ten fully connected layers: MVE keeps a sum per output
    "person_detect": (82_308, 82_356),
}
# Head and tail on M4 with RecordingMicroAllocator; the same source.
RECORDED = {
    "kws_ref_model_int8": (16_000, 6_916),
    "vww_96_int8": (73_728, 27_076),
    "pretrainedResnet_quant": (49_728, 5_364),
    "ad01_int8": (768, 1_908),
    "person_detect": (55_296, 27_124),
}
# Smallest arena in which AllocateTensors succeeded on M4, by bisection: planning needs more than ad01 uses in the end.
SMALLEST_ARENA = {"kws_ref_model_int8": 22_832, "ad01_int8": 3_024}


@pytest.mark.models
@pytest.mark.parametrize("name", ARENA_USED)
def test_arena_used_on_cortex_m(name: str) -> None:
    model = shared(name)
    assert (predict(model, M4).total_bytes, predict(model, M55).total_bytes) == ARENA_USED[name]


@pytest.mark.models
@pytest.mark.parametrize("name", RECORDED)
def test_head_and_tail_as_recorded_on_cortex_m4(name: str) -> None:
    allocation = predict(shared(name), M4, recording=True)
    assert (allocation.nonpersistent_bytes, allocation.persistent_bytes) == RECORDED[name]
    assert sum(size for _, size in allocation.persistent_by_category) == allocation.persistent_bytes


@pytest.mark.models
@pytest.mark.parametrize("name", SMALLEST_ARENA)
def test_smallest_arena_on_cortex_m4(name: str) -> None:
    assert predict(shared(name), M4).smallest_arena_bytes == SMALLEST_ARENA[name]


# --- Live, against the wheel

# One process forks per model: TFLM aborts on some files, and importing it takes longer than planning.
WHEEL_SCRIPT = r"""
import json, os, re, sys
from tflite_micro import runtime
for path in sys.stdin.read().splitlines():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1), os.dup2(write, 2)
        try:
            runtime.Interpreter.from_bytes(open(path, "rb").read(), arena_size=64 << 20).print_allocations()
        finally:
            os._exit(0)
    os.close(write)
    text = b"".join(iter(lambda: os.read(read, 65536), b"")).decode("latin1")
    os.close(read), os.waitpid(child, 0)
    found = [re.search(f"Arena allocation {part} (\\d+)", text) for part in ("head", "tail", "total")]
    print(json.dumps([int(m[1]) for m in found] if all(found) else None), flush=True)
"""


def wheel_reports(paths: list[Path]) -> list[list[int] | None]:
    """[head, tail, total] per file as TFLM prints them, None where it refuses the model."""
    names = "\n".join(str(path) for path in paths)
    done = subprocess.run(
        [sys.executable, "-c", WHEEL_SCRIPT], input=names, capture_output=True, text=True, check=True, timeout=120
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def difference(model: Model, report: list[int] | None) -> str | None:
    """What the prediction has otherwise than TFLM's own report; None where they agree."""
    allocation = predict(model, HOST)
    found = [allocation.nonpersistent_bytes, allocation.persistent_bytes, allocation.total_bytes]
    if report is None or (found == report and allocation.exact):
        return None
    return f"{model.name}: predicted {found}, TFLM reports {report}; {allocation.notices}"


@pytest.mark.wheel
@pytest.mark.models
@WHEEL
def test_every_shared_model_equals_the_wheel_to_the_byte() -> None:
    paths = sorted(FOLDER.glob("*.tflite"))
    if not paths:
        pytest.skip(f"no .tflite in {FOLDER}; set THIMBLE_MODELS to a folder of models")
    reports = wheel_reports(paths)
    wrong = [difference(read_tflite(path), report) for path, report in zip(paths, reports, strict=True)]
    assert [w for w in wrong if w] == []
    assert sum(report is not None for report in reports) >= 49 or len(paths) < 71


@pytest.mark.wheel
@WHEEL
def test_single_kernels_equal_the_wheel(tmp_path: Path) -> None:
    models = {name: model for name, (model, _, _) in small.MEASURED.items()}
    paths = []
    for number, model in enumerate(models.values()):
        paths.append(tmp_path / f"{number}.tflite")
        paths[-1].write_bytes(model_to_bytes(model))
    reports = wheel_reports(paths)
    wrong = [difference(model, report) for model, report in zip(models.values(), reports, strict=True)]
    assert [w for w in wrong if w] == []
    assert [name for name, report in zip(models, reports, strict=True) if report is None] == []


@pytest.mark.models
def test_all_shared_models_are_predicted_in_seconds() -> None:
    paths = sorted(FOLDER.glob("*.tflite"))
    if not paths:
        pytest.skip(f"no .tflite in {FOLDER}; set THIMBLE_MODELS to a folder of models")
    for path in paths:
        model = read_tflite(path)
        allocation = predict(model, M4)
        assert allocation.lower_bound_bytes <= allocation.nonpersistent_bytes
        assert allocation.total_bytes <= allocation.smallest_arena_bytes
        assert all(
            p.tensor is None or model.graphs[p.graph].tensors[p.tensor].kind is not Kind.CONSTANT
            for p in allocation.plan
        )
