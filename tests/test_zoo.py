# SPDX-License-Identifier: Apache-2.0
"""The zoo: published sizes, the same bytes every time, and models that the runtimes take and that react."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import run_tflite
from thimble import zoo
from thimble.errors import ModelError, OptionError
from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import parse_tflite, read_tflite
from thimble.ir import Activation, DType, Graph, Kind, Model, Op, Quant
from thimble.zoo.__main__ import main
from thimble.zoo.values import Stats, affine, mixed, rectified, summed
from thimble.zoo.weights import SPREAD, Stream

MODELS = Path(os.environ.get("THIMBLE_MODELS", Path(__file__).parents[2] / "shared" / "models"))
SHIPPED = "kws_ds_cnn.tflite"
KNOWN_WEIGHTS = [32, 28, 21, 3, 47, -36]  # of seed 0

# Published parameters and multiply-adds, and how far ours may be off. Exact where the published network has biases
# and no batch normalization. Else folding leaves one number per channel of the two (or four) that are counted, and
# figures in millions are rounded: 1 % covers both, 2 % figures with one digit behind the point.
PUBLISHED: dict[str, tuple[dict[str, Any], float, float, float]] = {
    "densenet_121": ({}, 7_978_856, 2.87e9, 0.02),
    "deeplab_v3": ({"resolution": 513, "rates": ()}, 2.11e6, 2.75e9, 0.01),
    "ds_cnn": ({}, 22_604, 2_656_768, 0.0),  # the benchmark's own file
    "inception_v1": ({}, 6_998_552, 1.58e9, 0.005),
    "lstm": ({}, 3_920 + 5_610, 28 * (4 * 20 * 48) + 5_600, 0.0),
    "mnasnet_a1": ({}, 3.9e6, 312e6, 0.02),
    "mnasnet_b1": ({}, 4.383e6, 315e6, 0.01),
    "mobilenet_v1": ({}, 4.2e6, 569e6, 0.01),
    "mobilenet_v2": ({}, 3.5e6, 300e6, 0.01),
    "nasnet_mobile": ({}, 5_289_978, 564e6, 0.01),
    "resnet_50": ({}, 25_557_032, 4.1e9, 0.01),
    "resnet_8": ({}, 77_706, 12_501_632, 0.0),  # the benchmark's own file
    "squeezenet": ({}, 1_235_496, 349e6, 0.001),
    "tcn": ({}, 70e3, 51_607_050, 0.06),  # "about 70 k"
}

# What TFLM runs in a moment: the small ones as published, the others at a lower resolution.
ON_TFLM: dict[str, dict[str, Any]] = {
    "ds_cnn": {},
    "ds_cnn_digits": {},
    "lstm": {},
    "resnet_8": {},
    "tcn": {},
    "mobilenet_v1": {"width": 0.25},
    "mobilenet_v2": {"width": 0.35, "resolution": 96},
    "mnasnet_a1": {"resolution": 64},
    "nasnet_mobile": {"resolution": 64},
    "densenet_121": {"resolution": 64},
    "posenet": {"width": 0.5, "resolution": 97},
    "deeplab_v3": {"width": 0.35, "resolution": 97},
    "squeezenet": {"resolution": 96},
}

needs_litert = pytest.mark.skipif(not run_tflite.HAS_LITERT, reason="LiteRT is missing")
needs_tflm = pytest.mark.skipif(not run_tflite.HAS_TFLM, reason="the TFLM wheel is missing")
each_architecture = pytest.mark.parametrize("name", zoo.names())


@pytest.fixture(scope="session")
def built() -> Callable[[str], Model]:
    """Each architecture at its published size, built once."""
    models: dict[str, Model] = {}

    def get(name: str) -> Model:
        if name not in models:
            models[name] = zoo.build(name)
        return models[name]

    return get


@pytest.fixture(scope="session")
def litert(built: Callable[[str], Model], tmp_path_factory: pytest.TempPathFactory) -> run_tflite.Outputs:
    """LiteRT's outputs for all architectures, from one process."""
    folder = tmp_path_factory.mktemp("zoo")
    paths = [folder / f"{name}.tflite" for name in zoo.names()]
    for path in paths:
        path.write_bytes(model_to_bytes(built(path.stem)))
    return run_tflite.outputs("litert", paths, folder)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of the models for TFLM."""
    folder = tmp_path_factory.mktemp("small")
    paths = [folder / f"{name}.tflite" for name in ON_TFLM]
    for path in paths:
        path.write_bytes(model_to_bytes(zoo.build(path.stem, **ON_TFLM[path.stem])))
    return paths


@each_architecture
def test_rebuilding_gives_the_same_bytes(built: Callable[[str], Model], name: str) -> None:
    assert model_to_bytes(zoo.build(name)) == model_to_bytes(built(name))


@each_architecture
def test_what_is_written_is_read_back(built: Callable[[str], Model], name: str) -> None:
    model = built(name)
    again = parse_tflite(model_to_bytes(model), model.file)
    assert again == model
    assert again.notices == ()


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_sizes(built: Callable[[str], Model], name: str) -> None:
    choices, parameters, macs, tolerance = PUBLISHED[name]
    model = zoo.build(name, **choices) if choices else built(name)
    assert zoo.parameters(model) == pytest.approx(parameters, rel=tolerance)
    assert model.macs() == pytest.approx(macs, rel=max(tolerance, 0.01))


def test_published_parts() -> None:
    # DeepLabv3 with dilated branches: 4.52 M. ResNet-50 before its classifier, inside EAST: 23.5 M and 0.6 M.
    assert zoo.parameters(zoo.build("deeplab_v3")) == pytest.approx(4.52e6, rel=0.005)
    backbone = zoo.parameters(zoo.build("resnet_50", classes=1)) - 2049
    assert backbone == pytest.approx(23_508_032, rel=0.002)
    assert zoo.parameters(zoo.build("east")) - backbone == pytest.approx(0.6e6, rel=0.1)
    # Inception V1 with 3x3 in place of 5x5, and PoseNet's features: 6.6 M and 3.2 M.
    assert zoo.parameters(zoo.build("inception_v1", wide=3)) == pytest.approx(6.62e6, rel=0.002)
    assert zoo.parameters(zoo.build("posenet")) - 1025 * (17 + 34 + 32 + 32) == pytest.approx(3.2e6, rel=0.01)


@pytest.mark.models
@pytest.mark.parametrize(
    ("name", "choices", "file"),
    [
        ("ds_cnn", {}, "kws_ref_model_int8"),
        ("resnet_8", {}, "pretrainedResnet_quant"),
        ("lstm", {}, "trained_lstm_int8"),
    ],
)
def test_the_same_operators_as_published_files(name: str, choices: dict[str, Any], file: str) -> None:
    path = MODELS / f"{file}.tflite"
    if not path.exists():
        pytest.skip(f"no models in {MODELS}; set THIMBLE_MODELS")
    assert outline(zoo.build(name, **choices)) == outline(read_tflite(path))


def outline(model: Model) -> list[tuple[str, tuple[tuple[int, ...] | None, ...], tuple[int, ...]]]:
    """Kind, operand shapes and output shape of each operator."""
    main = model.main
    return [
        (op.kind, tuple(None if t is None else t.shape for t in main.operands(op)), main.results(op)[0].shape)
        for op in main.ops
    ]


@each_architecture
def test_quantization_is_what_the_kernels_require(built: Callable[[str], Model], name: str) -> None:
    main = built(name).main
    for op in main.ops:
        results = main.results(op)
        assert all(t.dtype is DType.INT8 and t.quant is not None for t in results)
        quants = {t.quant for t in (*main.operands(op), *results) if t is not None and t.dtype is DType.INT8}
        if op.kind in KEEPS_SCALE:
            assert len(quants) == 1, op.label
        if op.kind in ("SOFTMAX", "LOGISTIC"):
            assert results[0].quant == Quant((1 / 256,), (-128,))
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            check_bias(main, op)


KEEPS_SCALE = {
    *("AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D", "PAD", "RESHAPE", "RESIZE_BILINEAR", "STRIDED_SLICE"),
}


def check_bias(main: Graph, op: Op) -> None:
    """Bias scales are the input's times the weights'; weights are symmetric, per channel in convolutions."""
    x, weights, bias = (t for t in main.operands(op) if t is not None)
    assert x.quant and weights.quant and bias.quant
    np.testing.assert_allclose(bias.quant.scale, np.array(weights.quant.scale) * x.quant.scale[0], rtol=1e-6)
    assert set(weights.quant.zero_point) == set(bias.quant.zero_point) == {0}
    axis = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}.get(op.kind)
    assert len(weights.quant.scale) == (1 if axis is None else weights.shape[axis])
    assert weights.quant.axis == (axis or 0)


@needs_litert
@each_architecture
def test_litert_runs_it_and_it_reacts(litert: run_tflite.Outputs, name: str) -> None:
    for first, second in zip(*litert[name], strict=True):
        assert len(np.unique(first)) > 3, "the output is nearly constant"
        assert not np.array_equal(first, second), "the output does not depend on the input"


@pytest.mark.wheel
@needs_tflm
@needs_litert
def test_tflm_runs_it_as_litert_does(small: list[Path], tmp_path: Path) -> None:
    ours, reference = (run_tflite.outputs(r, small, tmp_path) for r in ("tflm", "litert_ref"))
    for path in small:
        for got, wanted in zip(ours[path.stem], reference[path.stem], strict=True):
            for a, b in zip(got, wanted, strict=True):
                # TFLM rounds twice in fully connected layers, LiteRT once: the scores may differ by a step.
                assert np.abs(a.astype(int) - b.astype(int)).max() <= 1, path.stem
                assert len(np.unique(a)) > 3


def test_the_shipped_model_is_what_the_zoo_builds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = resources.files("thimble").joinpath("data", SHIPPED).read_bytes()
    target = tmp_path / SHIPPED
    assert main(["ds_cnn_digits", "-o", str(target)]) == 0
    assert target.read_bytes() == shipped
    assert 20_000 <= len(shipped) <= 60_000
    assert f"{len(shipped):,} bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alexnet"], "no architecture 'alexnet' in the zoo; there are deeplab_v3, densenet_121"),
        (["ds_cnn", "width=2"], "ds_cnn has no option 'width'; it has channels, classes, seed"),
        (["ds_cnn", "channels=0"], "ds_cnn: channels=0 makes no sense; the default is 64"),
        (["ds_cnn", "channels=many"], "'channels=many' is not of the form option=number"),
        (["mobilenet_v1", "width=-1"], "width=-1 makes no sense"),
        (["deeplab_v3", "rates=6"], "rates=6 makes no sense"),
        (["squeezenet", "resolution=8"], "a window of 3 does not fit in 1 without padding"),
    ],
)
def test_mistakes_on_the_command_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "-o", str(tmp_path / "x.tflite")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.tflite").exists()


def test_mistakes_in_the_api() -> None:
    with pytest.raises(OptionError, match="there is no architecture"):
        zoo.options("alexnet")
    with pytest.raises(OptionError, match="classes=True makes no sense"):
        zoo.build("ds_cnn", classes=True)
    with pytest.raises(ModelError):
        zoo.build("squeezenet", resolution=4)


@pytest.mark.parametrize(
    ("name", "choices", "shape"),
    [
        ("mobilenet_v1", {"width": 0.5, "resolution": 160, "classes": 2}, (1, 2)),
        ("mobilenet_v2", {"width": 1.4, "resolution": 96, "classes": 1001}, (1, 1001)),
        ("tcn", {"steps": 64, "features": 8, "channels": 16, "kernel": 3, "levels": 3, "classes": 5}, (1, 5)),
        ("lstm", {"steps": 10, "features": 6, "units": 8, "classes": 3}, (1, 3)),
        ("east", {"resolution": 100}, (1, 25, 25, 1)),
        ("deeplab_v3", {"width": 0.35, "resolution": 65, "output_stride": 8}, (1, 65, 65, 21)),
        ("posenet", {"resolution": 129, "output_stride": 32}, (1, 5, 5, 17)),
    ],
)
def test_options(name: str, choices: dict[str, Any], shape: tuple[int, ...]) -> None:
    main_graph = zoo.build(name, **choices).main
    assert main_graph.tensors[main_graph.outputs[0]].shape == shape


def test_the_seed_changes_the_weights_only() -> None:
    one, two = zoo.build("ds_cnn", seed=1), zoo.build("ds_cnn", seed=2)
    assert one != two
    assert outline(one) == outline(two)
    assert zoo.options("ds_cnn") == {"channels": 64, "classes": 12, "seed": 14}


def test_weights_are_the_same_everywhere() -> None:
    # Raw PCG64 bits for seed 0, summed by fours: known numbers, so that another NumPy or machine shows at once.
    assert Stream(0).weights((6,)).tolist() == KNOWN_WEIGHTS
    many = Stream(3).weights((100_000,)).astype(float)
    assert many.std() == pytest.approx(SPREAD, rel=0.01)
    assert many.mean() == pytest.approx(0, abs=0.5)
    assert np.abs(many).max() <= 127


def test_constants_take_no_other_kind(built: Callable[[str], Model]) -> None:
    """The LSTM's states are variables, everything else that is stored is constant."""
    tensors = built("lstm").main.tensors
    assert sum(t.kind is Kind.VARIABLE for t in tensors) == 2
    assert [t.dtype for t in tensors if t.kind is Kind.VARIABLE] == [DType.INT8, DType.INT16]


def test_affine_represents_zero() -> None:
    assert affine(0.0, 255.0) == Quant((1.0,), (-128,))
    assert affine(1.0, 255.0) == Quant((1.0,), (-128,))
    assert affine(-255.0, 0.0) == Quant((1.0,), (127,))


def test_expected_statistics_are_those_of_samples() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(0.5, 1.0, 200_000), random.normal(-1.0, 2.0, 200_000)
    cases = (
        (rectified(Stats(0.5, 1.0)), np.maximum(x, 0)),
        (summed(Stats(0.5, 1.0), Stats(-1.0, 2.0)), x + y),
        (mixed([(1, Stats(0.5, 1.0)), (1, Stats(-1.0, 2.0))]), np.concatenate([x, y])),
    )
    for expected, sample in cases:
        assert (expected.mean, expected.std) == pytest.approx((sample.mean(), sample.std()), abs=0.02)


def test_activations_are_fused(built: Callable[[str], Model]) -> None:
    fused = [getattr(op.attrs, "fused_activation_function", None) for op in built("mobilenet_v1").main.ops]
    assert fused.count(Activation.RELU6) == 27
