# SPDX-License-Identifier: Apache-2.0
"""Orders and plans for stock TFLM: what is predicted is what the wheel reports, and no output changes."""

from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thimble
from run_tflite import ARENA, HAS_LITERT, HAS_TFLM, outputs
from thimble import report, verify, zoo
from thimble.errors import OptionError
from thimble.exporters.offline import with_plan
from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import parse_tflite
from thimble.ir import DType, Kind, Model, OpId, Quant
from thimble.memory import ONLINE
from thimble.pipeline import climb, optimize
from thimble.probes import model_of
from thimble.target import target_named
from thimble.tflm import predict
from thimble.tflm.dropin import improve
from thimble.tflm.in_place import SOURCES, sharings

GAINS = ("vww_96_int8", "hand_recrop_float", "gap_mnist_lstm", "nasnet_mobile_224_int8_RANDOMWEIGHTS")
"""Models that a plan or an order helps: vww by packing (MiniMalloc's plan saves as much), hand_recrop by order."""

IN_PLACE_GAINS = ("blazeface_front_float", "iris_landmark_float", "keras_lstm_mnist_ptq", "simple_add_model")
"""Models that TFLM runs and that in-place operators help further; where a skip connection is at the peak."""

NOT_RUNNABLE = ("edsr_f32b5_full_qint8", "densenet121_224_int8_RANDOMWEIGHTS")
"""TFLM allocates these but does not run them: minutes of work, and an abort inside a kernel."""


@pytest.mark.parametrize("target", ["host", "cortex-m4", "cortex-m55"])
def test_rungs_never_go_up_from_the_first_to_the_last(target: str) -> None:
    shipped, reordered, packed = climb(thimble.load("demo"), target_named(target))
    assert packed.rung.arena_bytes <= min(shipped.rung.arena_bytes, reordered.rung.arena_bytes)
    assert packed.rung.lower_bound_bytes <= packed.rung.arena_bytes


def test_a_file_that_cannot_be_improved_is_copied(tmp_path: Path) -> None:
    out = tmp_path / "out.tflite"
    optimize("demo", out)
    assert out.read_bytes() == thimble.demo_model().read_bytes()


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    file, link = tmp_path / "a.tflite", tmp_path / "b.tflite"
    file.write_bytes(thimble.demo_model().read_bytes())
    link.symlink_to(file)
    for out in (file, link):
        with pytest.raises(OptionError, match="is the input file"):
            optimize(file, out)


@pytest.mark.parametrize("in_place", [False, True])
def test_kept_inputs_are_never_overwritten(in_place: bool) -> None:
    model = thimble.load("demo")
    kept = improve(model, [target_named("cortex-m4")], keep_inputs=True, in_place=in_place)
    (allocation,) = kept.allocations
    (source,) = model.main.inputs
    place = next(b for b in allocation.plan if b.tensor == source)
    for block in allocation.plan:
        apart = block.offset >= place.offset + place.size or place.offset >= block.offset + block.size
        assert block is place or apart, block.what
    assert kept.offsets is not None  # TFLM by itself reuses the input's bytes


@pytest.mark.models
def test_every_shared_model_is_never_worse_on_any_target(models_dir: Path) -> None:
    targets = [target_named(name) for name in ("host", "cortex-m4", "cortex-m55")]
    for path in sorted(models_dir.glob("*.tflite")):
        model = thimble.load(path)
        for old, new in zip((predict(model, t) for t in targets), improve(model, targets).allocations, strict=True):
            assert new.nonpersistent_bytes <= old.nonpersistent_bytes, path.name


@pytest.mark.models
@pytest.mark.wheel
@pytest.mark.skipif(not HAS_TFLM, reason="the tflite-micro wheel exists for Python 3.11 on Linux only")
def test_stock_tflm_honours_every_plan_and_returns_the_same(models_dir: Path, tmp_path: Path) -> None:
    """Every model that TFLM runs: the arena is the predicted one, and the outputs do not change by a bit."""
    written: dict[str, int] = {}
    for source in sorted(models_dir.glob("*.tflite")):
        out = tmp_path / f"{source.stem}_optimized.tflite"
        _, last, _ = optimize(source, out, targets=("host",))["host"]
        if out.read_bytes() != source.read_bytes() and last.allocation.exact and source.stem not in NOT_RUNNABLE:
            written[source.stem] = last.rung.arena_bytes
    assert set(GAINS) <= set(written)
    for name, arena in written.items():
        assert arena_head(tmp_path / f"{name}_optimized.tflite") == arena, name
    _check_same_outputs("tflm", list(written), models_dir, tmp_path)


@pytest.mark.models
@pytest.mark.skipif(not HAS_LITERT, reason="ai-edge-litert is not installed")
def test_litert_runs_the_same_file(models_dir: Path, tmp_path: Path) -> None:
    for name in GAINS:
        optimize(models_dir / f"{name}.tflite", tmp_path / f"{name}_optimized.tflite")
    _check_same_outputs("litert", list(GAINS), models_dir, tmp_path)


def _check_same_outputs(runtime: str, names: list[str], models: Path, folder: Path) -> None:
    paths = [models / f"{name}.tflite" for name in names] + [folder / f"{name}_optimized.tflite" for name in names]
    found = outputs(runtime, paths, folder)
    for name in names:
        for before, after in zip(found[name], found[f"{name}_optimized"], strict=True):
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True)), name


def arena_head(path: Path) -> int:
    """The planned part of the arena as the wheel reports it."""
    code = (
        "import sys; from tflite_micro import runtime; "
        f"runtime.Interpreter.from_bytes(open(sys.argv[1], 'rb').read(), arena_size={ARENA}).print_allocations()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    found = re.search(r"Arena allocation head\D*(\d+)", done.stdout + done.stderr)
    assert found, done.stderr[-500:]
    return int(found[1])


@pytest.mark.skipif(not HAS_TFLM, reason="tflite-micro is not installed")
@pytest.mark.parametrize(("kind", "right"), [("ADD", True), ("RESHAPE", True), ("CONV_2D", False)])
def test_stock_tflm_takes_shared_offsets_which_only_some_kernels_bear(kind: str, right: bool, tmp_path: Path) -> None:
    """What docs/ladder.md says of rung 3 with stock TFLM: the kernel decides whether a shared offset is right."""
    data = model_to_bytes(zoo.build("resnet_8", resolution=16))
    main = parse_tflite(data, "resnet_8").main
    apart: dict[int, int] = {}
    for tensor in main.tensors:
        if tensor.kind is not Kind.CONSTANT:
            apart[tensor.id] = sum(-(-main.tensors[t].nbytes // 16) * 16 for t in apart)
    last = [op for op in main.ops if op.kind == kind][-1]
    shared = apart | {last.outputs[0]: apart[last.inputs[0] or 0]}
    paths = [tmp_path / "apart.tflite", tmp_path / "shared.tflite"]
    for path, places in zip(paths, (apart, shared), strict=True):
        offsets = [places.get(tensor.id, ONLINE) for tensor in main.tensors]
        path.write_bytes(with_plan(data, [op.id for op in main.ops], offsets))
    found = outputs("tflm", paths, tmp_path)
    cases = zip(found["apart"], found["shared"], strict=True)
    same = all(np.array_equal(a, b) for one, other in cases for a, b in zip(one, other, strict=True))
    assert same is right


def test_the_verifier_allows_the_same_operators_in_place() -> None:
    assert {*verify._IN_PLACE, *verify._IN_PLACE_VIEWS, "QUANTIZE"} == set(SOURCES)


def test_operators_run_in_place_only_when_asked_to(tmp_path: Path) -> None:
    file, out = tmp_path / "resnet_50.tflite", tmp_path / "out.tflite"
    file.write_bytes(model_to_bytes(zoo.build("resnet_50", resolution=32)))
    for _, packed, _ in optimize(file, out).values():
        assert packed.rung.rung == 2 and packed.rung.arena_bytes == 49_152 and not packed.shared and not packed.refused
    steps = optimize(file, out, in_place=True)
    for _, merged, _ in steps.values():
        assert merged.rung.rung == 3 and merged.rung.arena_bytes == 36_864 >= merged.rung.lower_bound_bytes
        assert {shared.kind for shared in merged.shared} == {"ADD"}
        assert {r.kind for r in merged.refused if "several times" in r.reason} >= {"CONV_2D"}
    value = report.optimize_json(str(file), out, steps)
    assert [found["op"] for found in value["in_place"]] == ["ADD"] * 16
    assert {found["reason"] for found in value["not_in_place"] if found["op"] == "CONV_2D"}
    if HAS_TFLM:
        assert arena_head(out) == 36_864
        cases = zip(*outputs("tflm", [file, out], tmp_path).values(), strict=True)
        assert all(np.array_equal(a, b) for one, other in cases for a, b in zip(one, other, strict=True))


def test_a_result_takes_the_place_only_of_an_operand_that_dies() -> None:
    main = zoo.build("resnet_50", resolution=32).main
    order = [op.id for op in main.ops]
    for shared in sharings(main, order, keep_inputs=True):
        for found in shared:
            assert found.operand not in (*main.inputs, *main.outputs)
            assert not any(found.operand in main.ops[op].inputs for op in order[order.index(found.op) + 1 :])


@pytest.mark.models
@pytest.mark.wheel
@pytest.mark.skipif(not HAS_TFLM, reason="the tflite-micro wheel exists for Python 3.11 on Linux only")
def test_stock_tflm_runs_in_place_and_returns_the_same(models_dir: Path, tmp_path: Path) -> None:
    for name in IN_PLACE_GAINS:
        source, out = models_dir / f"{name}.tflite", tmp_path / f"{name}_optimized.tflite"
        _, packed, _ = optimize(source, out, targets=("host",))["host"]
        _, merged, _ = optimize(source, out, targets=("host",), in_place=True)["host"]
        assert arena_head(out) == merged.rung.arena_bytes < packed.rung.arena_bytes, name
    _check_same_outputs("tflm", list(IN_PLACE_GAINS), models_dir, tmp_path)


def _single(kind: str, dtype: DType) -> Model:
    """A model of one operator, the result quantized as TFLM demands."""
    found = model_of(kind, dtype)
    assert found is not None
    fixed = {"LOGISTIC": Quant((2.0**-8,), (-128,)), "TANH": Quant((2.0**-7,), (0,))}
    if dtype is not DType.INT8 or kind not in fixed:
        return found
    *operands, result = found.main.tensors
    tensors = (*operands, dataclasses.replace(result, quant=fixed[kind]))
    return dataclasses.replace(found, graphs=(dataclasses.replace(found.main, tensors=tensors),))


@pytest.mark.skipif(not HAS_TFLM, reason="tflite-micro is not installed")
def test_every_listed_kernel_bears_its_result_over_its_operand(tmp_path: Path) -> None:
    """A model of one operator each, as float32 and as int8, with its result over either operand."""
    pairs: list[tuple[Path, Path]] = []
    for kind, dtype in itertools.product(SOURCES, (DType.FLOAT32, DType.INT8)):
        data = model_to_bytes(_single(kind, dtype))
        main = parse_tflite(data, kind).main
        apart = {t.id: 1024 * t.id if t.in_arena else ONLINE for t in main.tensors}
        for which, (shared,) in enumerate(sharings(main, [OpId(0)])):
            over = apart | {shared.result: apart[shared.operand]}
            before, after = (tmp_path / f"{kind}_{dtype.label}_{which}_{way}.tflite" for way in ("apart", "over"))
            for path, places in ((before, apart), (after, over)):
                path.write_bytes(with_plan(data, [OpId(0)], list(places.values())))
            pairs.append((before, after))
    assert {before.stem.split("_int8")[0] for before, _ in pairs if "_int8" in before.stem} == set(SOURCES)
    found = outputs("tflm", [path for pair in pairs for path in pair], tmp_path)
    for before, after in pairs:
        cases = zip(found[before.stem], found[after.stem], strict=True)
        assert all(np.array_equal(a, b) for one, other in cases for a, b in zip(one, other, strict=True)), after.stem
