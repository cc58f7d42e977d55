# SPDX-License-Identifier: Apache-2.0
"""TFLite_Detection_PostProcess: the reference against LiteRT, compiled code against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tflm_models as made
from compiled import check_compiled
from run_tflite import CASES, HAS_LITERT, outputs, sample
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.ir import DType, Kind, Model, Quant, Shape, Tensor
from thimble.rewrites import settle_results

BOXES, CLASSES, MOST = 60, 5, 8


def old(shape: Shape, scale: float, zero: int, values: np.ndarray | None = None) -> Tensor:
    base = made.tensor(shape, DType.UINT8, Kind.ACTIVATION if values is None else Kind.CONSTANT)
    data = None if values is None else values.astype(np.uint8).tobytes()
    return replace(base, quant=Quant((float(np.float32(scale)),), (zero,)), data=data)


def detector(**changes: object) -> Model:
    """Boxes of which many overlap; the results' shapes are open, as in files."""
    anchors = np.random.default_rng(7).integers(20, 120, (BOXES, 4))
    options = {
        "h_scale": 5.0,
        "max_classes_per_detection": 1,
        "max_detections": MOST,
        "nms_iou_threshold": 0.4,
        "nms_score_threshold": 0.3,
        "num_classes": CLASSES,
        "w_scale": 5.0,
        "x_scale": 10.0,
        "y_scale": 10.0,
        **changes,
    }
    operands: list[Tensor | None] = [
        old((1, BOXES, 4), 0.05, 128),
        old((1, BOXES, CLASSES + 1), 1 / 256, 0),
        old((BOXES, 4), 0.0065, 0, anchors),
    ]
    return made.custom("TFLite_Detection_PostProcess", operands, [made.tensor(())] * 4, **options)


@pytest.mark.wheel
def test_as_litert(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not HAS_LITERT:
        pytest.skip("the package ai_edge_litert is absent: the reference is not compared with LiteRT")
    folder, model = tmp_path_factory.mktemp("detector"), detector()
    (folder / "detector.tflite").write_bytes(model_to_bytes(model))
    wanted = outputs("litert_ref", [folder / "detector.tflite"], folder)["detector"]
    for case in range(CASES):
        given = [sample(case, t.shape, t.dtype.label) for t in (model.main.tensors[i] for i in model.main.inputs)]
        found = Executor(model).run(*given)
        count = int(wanted[case][3][0])
        assert count > 1 and found[3].tolist() == [count]
        for got, expected in zip(found[:3], wanted[case][:3], strict=True):
            np.testing.assert_allclose(got[0, :count], expected[0, :count], 1e-6, 1e-6)


def test_compiled() -> None:
    check_compiled(detector())


def test_shapes_of_the_results() -> None:
    graph = settle_results(detector().main)
    assert [graph.tensors[i].shape for i in graph.outputs] == [(1, MOST, 4), (1, MOST), (1, MOST), (1,)]
    assert settle_results(graph) is graph


def test_other_methods_are_refused() -> None:
    values = [np.zeros((1, BOXES, 4), np.uint8), np.zeros((1, BOXES, CLASSES + 1), np.uint8)]
    with pytest.raises(UnsupportedOperatorError, match="only one class per box"):
        Executor(detector(use_regular_nms=True)).run(*values)
    with pytest.raises(UnsupportedOperatorError, match="an option is missing"):
        Executor(detector(num_classes="many")).run(*values)
