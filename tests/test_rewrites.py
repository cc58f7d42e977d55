# SPDX-License-Identifier: Apache-2.0
"""Rewrites before compiling: the graphs they make compute the same, and what they refuse."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import tflm_models as made
from compiled import check_compiled, edge_inputs
from run_tflite import CASES, HAS_LITERT, Outputs, outputs, sample
from test_reference_models import controls, variables
from test_reference_signal import subtraction
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.ir import Activation, DType, Kind, Model, Padding, Quant, Shape, Tensor
from thimble.kernel import Flavour
from thimble.lower import lowered
from thimble.ops import OPERATORS
from thimble.ops.legacy import flipped, to_signed, to_unsigned
from thimble.rewrites import compilable, expose_state, fold_constants, resolve_resources, signed
from thimble.streaming import Segment
from thimble.text import parse_graph, print_graph
from thimble.verify import verify_graph

F16, F32, I8, I32, U8 = DType.FLOAT16, DType.FLOAT32, DType.INT8, DType.INT32, DType.UINT8
VARIABLES = variables()
step = made.step


def rewritten(model: Model) -> Model:
    """The model with its main graph as the compiler sees it."""
    graph = compilable(model)
    verify_graph(graph)
    return replace(model, graphs=(graph, *model.graphs[1:]))


def check_same(model: Model) -> Model:
    """The rewritten model, which computes the same, inference after inference."""
    new = rewritten(model)
    before, after = Executor(model), Executor(new)
    for values in edge_inputs(model):
        for got, wanted in zip(after.run(*values), before.run(*values), strict=True):
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
    return new


def shape_arithmetic() -> Model:
    """A RESHAPE whose operand is computed from a known shape, beside an operator that nothing needs."""
    tensors = [
        made.tensor((1, 4, 6)), made.tensor((3,), I32), made.ints(0), made.ints(1), made.ints(1),
        made.tensor((1,), I32), made.ints(-1, shape=(1,)), made.tensor((2,), I32),
        made.tensor((1, 24)), made.tensor((1, 4, 6)),
    ]  # fmt: skip
    steps = [
        step("SHAPE", (0,), (1,)),
        step("STRIDED_SLICE", (1, 2, 3, 4), (5,)),
        step("ADD", (0, 0), (9,)),
        step("CONCATENATION", (5, 6), (7,)),
        step("RESHAPE", (0, 7), (8,)),
    ]
    return made.model(made.graph(tensors, steps, (0,), (8,)))


def test_arithmetic_on_shapes_is_folded() -> None:
    new = check_same(shape_arithmetic())
    assert [op.kind for op in new.main.ops] == ["RESHAPE"]
    assert new.main.ops[0].source.index == 4
    (shape,) = [t for t in new.main.tensors if t.kind is Kind.CONSTANT]
    assert np.frombuffer(shape.data or b"", "<i4").tolist() == [1, -1]
    assert fold_constants(new.main) is new.main


def test_outputs_may_be_constants() -> None:
    tensors = [made.tensor((2,)), made.const((2,)), made.tensor((2,))]
    new = check_same(made.model(made.graph(tensors, [step("ADD", (1, 1), (2,))], (0,), (2,))))
    assert not new.main.ops and len(new.main.inputs) == 1
    check_compiled(new)


def test_weights_of_float16_are_widened() -> None:
    half = replace(made.const((3,), F16), data=np.array([1, -0.5, 3], np.float16).tobytes())
    tensors = [made.tensor((3,)), half, made.tensor((3,)), made.tensor((3,))]
    steps = [step("DEQUANTIZE", (1,), (2,)), step("ADD", (0, 2), (3,))]
    new = check_same(made.model(made.graph(tensors, steps, (0,), (3,))))
    assert [op.kind for op in new.main.ops] == ["ADD"]
    assert new.main.constant_bytes() == 12


def test_nothing_to_do_gives_the_same_graph() -> None:
    model = made.conv((1, 4, 4, 3), (2, 3, 3, 3), (1, 4, 4, 2))
    assert compilable(model) is model.main
    for rewrite in (fold_constants, signed, expose_state):
        assert rewrite(model.main) is model.main
    assert resolve_resources(model) is model.main


@pytest.mark.parametrize("name", VARIABLES)
def test_variables(name: str) -> None:
    new = check_same(VARIABLES[name])
    assert {op.kind for op in new.main.ops} == {"READ_VARIABLE", "ASSIGN_VARIABLE"}
    assert sum(t.kind is Kind.VARIABLE for t in new.main.tensors) == 1


@pytest.mark.parametrize("name", [n for n in VARIABLES if n.split()[2] == "5"])
def test_variables_compiled(name: str) -> None:
    check_compiled(VARIABLES[name])


def test_a_variable_that_is_only_read_is_a_constant() -> None:
    model = made.variable()
    main = replace(model.main, ops=model.main.ops[:-1])
    new = check_same(replace(model, graphs=(main, *model.graphs[1:])))
    assert [op.kind for op in new.main.ops] == ["ADD"]
    assert not any(t.kind is Kind.VARIABLE for t in new.main.tensors)


def test_handles_from_elsewhere_are_refused() -> None:
    model = made.variable()
    given = replace(model.main, ops=tuple(op for op in model.main.ops if op.kind != "VAR_HANDLE"))
    with pytest.raises(UnsupportedOperatorError, match=r"READ_VARIABLE.*handles must come from VAR_HANDLE"):
        compilable(replace(model, graphs=(given,)))
    first, *others = model.main.ops
    late = made.graph(
        list(model.main.tensors),
        [made.Step(op.attrs, op.inputs, op.outputs) for op in (*others, first)],
        tuple(model.main.inputs),
        tuple(model.main.outputs),
    )
    with pytest.raises(UnsupportedOperatorError, match=r"CALL_ONCE.*before variables are touched"):
        compilable(replace(model, graphs=(late, *model.graphs[1:])))


@pytest.mark.parametrize(("name", "kind"), [("if", "IF"), ("while", "WHILE")])
def test_control_flow_is_refused(name: str, kind: str) -> None:
    graph = compilable(controls()[name])
    with pytest.raises(UnsupportedOperatorError, match=f"{kind} .*cannot be compiled: control flow"):
        lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)


def test_state_of_custom_operators_is_exposed() -> None:
    new = check_same(subtraction(clamping=False))
    assert [t.kind for t in new.main.operands(new.main.ops[0]) if t is not None] == [Kind.INPUT, Kind.VARIABLE]


# Legacy uint8


def old(shape: Shape, scale: float = 0.05, zero: int = 117, values: object = None) -> Tensor:
    """A uint8 tensor; a constant if there are values."""
    base = made.tensor(shape, U8) if values is None else made.const(shape, U8)
    data = None if values is None else np.asarray(values, np.uint8).tobytes()
    return replace(base, quant=Quant((float(np.float32(scale)),), (zero,)), data=data)


def random_old(shape: Shape, scale: float, zero: int, seed: int) -> Tensor:
    return old(shape, scale, zero, np.random.default_rng(seed).integers(0, 256, shape))


def bias(count: int) -> Tensor:
    return made.ints(*np.random.default_rng(count).integers(-3000, 3000, count).tolist())


def legacy_models() -> dict[str, Model]:
    image, pooled = old((1, 7, 5, 6), 0.02, 120), {"filter_width": 3, "filter_height": 2, "stride_w": 1, "stride_h": 2}
    conv = OPERATORS["CONV_2D"](padding=Padding.SAME)
    weights = random_old((4, 3, 3, 6), 0.0071, 131, 1)
    depthwise = OPERATORS["DEPTHWISE_CONV_2D"](stride_w=1, stride_h=1, depth_multiplier=1)
    by_channel = random_old((1, 3, 3, 6), 0.0113, 90, 2)
    dense = OPERATORS["FULLY_CONNECTED"]()
    matrix = random_old((8, 210), 0.0031, 128, 3)
    found = {
        "CONV_2D": made.single(conv, [image, weights, bias(4)], [old((1, 7, 5, 4), 0.31, 99)]),
        "DEPTHWISE_CONV_2D": made.single(depthwise, [image, by_channel, bias(6)], [old((1, 7, 5, 6), 0.09, 130)]),
        "FULLY_CONNECTED": made.single(dense, [image, matrix, bias(8)], [old((1, 8), 0.3, 128)]),
        "AVERAGE_POOL_2D": made.single(OPERATORS["AVERAGE_POOL_2D"](**pooled), [image], [old((1, 4, 5, 6), 0.02, 120)]),
        "MAX_POOL_2D": made.single(OPERATORS["MAX_POOL_2D"](**pooled), [image], [old((1, 4, 5, 6), 0.02, 120)]),
        "RESHAPE": made.single(OPERATORS["RESHAPE"](new_shape=(210,)), [image], [old((210,), 0.02, 120)]),
        "PAD": made.single(
            OPERATORS["PAD"](),
            [image, made.ints(0, 0, 1, 2, 0, 1, 0, 0, shape=(4, 2))],
            [old((1, 10, 6, 6), 0.02, 120)],
        ),
        "SOFTMAX": made.single(OPERATORS["SOFTMAX"](beta=1.0), [old((2, 9), 0.1)], [old((2, 9), 1 / 256, 0)]),
        "LOGISTIC": made.single(OPERATORS["LOGISTIC"](), [old((256,), 0.05, 140)], [old((256,), 1 / 256, 0)]),
        "TANH": made.single(OPERATORS["TANH"](), [old((256,), 0.03, 140)], [old((256,), 1 / 128, 128)]),
        "CONCATENATION": made.single(
            OPERATORS["CONCATENATION"](axis=2), [image, old((1, 7, 4, 6), 0.031, 77)], [old((1, 7, 9, 6), 0.02, 120)]
        ),
        "ADD": made.single(OPERATORS["ADD"](), [image, old((1, 7, 5, 6), 0.05, 30)], [old((1, 7, 5, 6), 0.06, 90)]),
        "MUL": made.single(OPERATORS["MUL"](), [image, old((1, 7, 5, 6), 0.05, 30)], [old((1, 7, 5, 6), 0.06, 90)]),
        "QUANTIZE": made.single(OPERATORS["QUANTIZE"](), [image], [old((1, 7, 5, 6), 0.03, 100)]),
        "ARG_MAX": made.single(
            OPERATORS["ARG_MAX"](), [image, made.ints(3, shape=())], [made.tensor((1, 7, 5), DType.INT64)]
        ),
    }
    for kind in ("ADD", "SUB", "MUL"):
        pair = [image, old((1, 7, 5, 6), 0.05, 30)]
        attrs = OPERATORS[kind](fused_activation_function=Activation.RELU6)
        found[f"{kind} clamped"] = made.single(attrs, pair, [old((1, 7, 5, 6), 0.06, 90)])
    for kind in ("MEAN", "HARD_SWISH"):
        axes = [made.ints(1, 2)] if kind == "MEAN" else []
        found[kind] = made.single(
            OPERATORS[kind](), [image, *axes], [old((1, 6) if axes else (1, 7, 5, 6), 0.018, 100)]
        )
    for half, corners in ((False, False), (False, True), (True, False)):
        attrs = OPERATORS["RESIZE_BILINEAR"](align_corners=corners, half_pixel_centers=half)
        size = made.ints(11, 3)
        found[f"RESIZE_BILINEAR {half} {corners}"] = made.single(attrs, [image, size], [old((1, 11, 3, 6), 0.02, 120)])
    return found


LEGACY = legacy_models()


def in_the_middle(model: Model) -> Model:
    """The operator between two others, so that its operands and results are int8 whatever it is."""
    graph = model.main
    last = replace(graph.tensors[graph.outputs[0]])
    tensors = [*graph.tensors, last]
    ops = [made.Step(op.attrs, op.inputs, op.outputs) for op in graph.ops]
    pool = step("MAX_POOL_2D", (graph.outputs[0],), (len(graph.tensors),), filter_width=1, filter_height=1)
    usable = len(last.shape) == 4 and last.dtype is U8
    steps = [*ops, pool] if usable else ops
    return made.model(
        made.graph(tensors, steps, tuple(graph.inputs), (len(graph.tensors),) if usable else graph.outputs)
    )


@pytest.fixture(scope="module")
def by_litert(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """What LiteRT's reference kernels give for all models."""
    if not HAS_LITERT:
        pytest.skip("the package ai_edge_litert is absent: legacy uint8 is not compared with LiteRT")
    folder = tmp_path_factory.mktemp("legacy")
    for place, model in enumerate(LEGACY.values()):
        (folder / f"{place:03}.tflite").write_bytes(model_to_bytes(model))
    return outputs("litert_ref", sorted(folder.glob("*.tflite")), folder)


@pytest.mark.wheel
@pytest.mark.parametrize("name", LEGACY)
def test_legacy_uint8_as_litert(name: str, by_litert: Outputs) -> None:
    model, place = rewritten(LEGACY[name]), list(LEGACY).index(name)
    for case in range(CASES):
        given = [sample(case, t.shape, t.dtype.label) for t in (model.main.tensors[i] for i in model.main.inputs)]
        for got, wanted in zip(Executor(model).run(*given), by_litert[f"{place:03}"][case], strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_uint8(name: str) -> None:
    model = in_the_middle(LEGACY[name])
    new = check_same(model)
    unchanged = name in ("RESHAPE", "QUANTIZE") and len(model.main.ops) == 1
    computed = [op for op in new.main.ops if op.kind == name.split(maxsplit=1)[0]]
    for op in computed:
        kinds = {t.dtype for t in (*new.main.operands(op), *new.main.results(op)) if t is not None}
        assert (U8 in kinds) == unchanged or op.kind == "QUANTIZE", name


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_uint8_compiled(name: str) -> None:
    check_compiled(in_the_middle(LEGACY[name]))


def test_both_forms_of_a_tensor() -> None:
    """A uint8 input that CAST reads as it is and POOL as int8, in one conversion for two readers."""
    image, real = old((1, 4, 4, 2)), made.tensor((1, 4, 4, 2))
    tensors = [image, real, image, image, image]
    steps = [
        step("DEQUANTIZE", (0,), (1,)),
        step("MAX_POOL_2D", (0,), (2,), filter_width=1, filter_height=1),
        step("MAX_POOL_2D", (0,), (3,), filter_width=1, filter_height=1),
        step("ADD", (2, 3), (4,)),
    ]
    new = check_same(made.model(made.graph(tensors, steps, (0,), (1, 4, 0))))
    assert [op.kind for op in new.main.ops].count("QUANTIZE") == 2


def test_operators_without_a_proof_stay_uint8() -> None:
    image = old((1, 4, 4, 2))
    pool = step("MAX_POOL_2D", (0,), (1,), filter_width=1, filter_height=1)
    model = made.model(made.graph([image, image, image], [pool, step("RELU", (1,), (2,))], (0,), (2,)))
    graph = compilable(model)
    assert [op.kind for op in graph.ops] == ["QUANTIZE", "MAX_POOL_2D", "QUANTIZE", "RELU"]
    with pytest.raises(UnsupportedOperatorError, match=r"RELU.*uint8"):
        lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)


def test_signed_and_back() -> None:
    tensor = random_old((5,), 0.5, 3, 4)
    assert to_unsigned(to_signed(tensor)) == tensor
    values = np.arange(256).astype(np.uint8)
    assert flipped(values).tolist() == list(range(-128, 128))
    np.testing.assert_array_equal(flipped(flipped(values)), values)


def test_the_mark_of_legacy_tensors_is_printed() -> None:
    graph = compilable(in_the_middle(LEGACY["CONV_2D"]))
    text = print_graph(graph, data=True)
    assert ", legacy)" in text
    assert parse_graph(text) == graph


def test_deterministic() -> None:
    for name, _ in itertools.product(("CONV_2D", "CONCATENATION"), range(2)):
        model = in_the_middle(LEGACY[name])
        assert compilable(model) == compilable(model)
