# SPDX-License-Identifier: Apache-2.0
"""C kernels of the operators with weights, other than int8 convolutions, against the NumPy references."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import test_reference_convolution as grids
import test_reference_models as recurrent
from compiled import check_compiled
from test_reference_convolution import Maker
from tflm_models import F32, I4, I8, I16, I32, I64, ints, single, tensor
from thimble.compile import compile_model
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import parse_tflite
from thimble.ir import Activation, DType, Kind, Model, Padding, Tensor
from thimble.kernel import Flavour
from thimble.ops import OPERATORS
from thimble.ops.customs import custom

OTHERS = ((F32, F32), (I16, I8), (I8, I4))  # int8 with int8 has kernels of its own
LSTMS = recurrent.lstms()


def few(models: Any, step: int) -> dict[str, Model]:
    """Every so manyth model of a grid."""
    return dict(itertools.islice(models, 0, None, step))


MODELS = {
    **few(grids.convolutions(OTHERS), 3),
    **few(grids.dense(OTHERS), 5),
    **few(grids.transposed(), 2),
    **few(grids.products(), 11),
    **few(grids.memories(), 1),
    **{name: LSTMS[name] for name in list(LSTMS)[::3]},
    **few(((n, m) for n, m in grids.ties() if m.main.ops[0].kind in ("SVDF", "TRANSPOSE_CONV")), 1),
    "wide": dict(grids.ties())["tie6"],
    "largest": dict(grids.extremes())["extreme9"],
}


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_reference(name: str) -> None:
    check_compiled(MODELS[name])


def dense(make: Maker, types: tuple[DType, DType], rows: int, depth: int, units: int, bias: DType | None) -> Model:
    x, weights = make.tensor((rows, depth), types[0]), make.weights((units, depth), types[1])
    options = {"fused_activation_function": grids.ACTIVATIONS[depth % 4]}
    inputs = [x, weights, make.bias(x, weights, units, bias)]
    return grids._finish("FULLY_CONNECTED", options, inputs, make, depth)


@settings(max_examples=12)
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    """Any window on any image, of each type; of a transposed one the image is the output."""
    types = data.draw(st.sampled_from((*OTHERS, (I8, I8))))
    kind = "TRANSPOSE_CONV"
    if types != (I8, I8):
        kinds = ("CONV_2D", "DEPTHWISE_CONV_2D") + ((kind,) if types[1] is not I4 else ())
        kind = data.draw(st.sampled_from(kinds))
    numbers = st.integers(1, 5)
    kernel, stride, depth, count = (data.draw(st.tuples(numbers, numbers)) for _ in range(4))
    dilation = data.draw(st.tuples(numbers, numbers)) if kind != "TRANSPOSE_CONV" else (1, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(r + data.draw(st.integers(0, 6)) for r in reach)
    padding = data.draw(st.sampled_from(Padding))
    make = Maker(data.draw(st.integers(0, 1000)))
    options = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    channels, units = depth[0] * depth[1], depth[1] * count[0]
    given_size = size
    if kind == "TRANSPOSE_CONV":
        spans = zip(size, kernel, stride, strict=True)
        given_size = tuple(-(-n // s) if padding is Padding.SAME else (n - k) // s + 1 for n, k, s in spans)
    else:
        options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    x = make.tensor((1, *given_size, channels), types[0])
    shapes = {
        "CONV_2D": (units, *kernel, depth[0]),
        "DEPTHWISE_CONV_2D": (1, *kernel, channels * count[0]),
        "TRANSPOSE_CONV": (units, *kernel, channels),
    }
    outputs = channels * count[0] if kind == "DEPTHWISE_CONV_2D" else units
    axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
    filters = make.weights(shapes[kind], types[1], axis=axis, scales=data.draw(st.sampled_from((1, outputs))))
    bias_type = {F32: F32, I8: I32, I16: I64}[types[0]]
    inputs = [x, filters, make.bias(x, filters, outputs, data.draw(st.sampled_from((None, bias_type))))]
    if kind == "TRANSPOSE_CONV":
        inputs = [ints(1, *size, units), filters, x, inputs[2]]
    check_compiled(grids._finish(kind, options, inputs, make, channels))


@settings(max_examples=8)
@given(
    st.sampled_from((F32, I8, I16)),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), max_size=4),
    st.tuples(st.booleans(), st.booleans()),
    st.integers(0, 1000),
)
def test_products(
    dtype: DType, extents: tuple[int, int, int], batches: list[tuple[int, int]], adjoint: tuple[bool, bool], seed: int
) -> None:
    """Each batch axis is shared, or of one of the two only."""
    make, (rows, depth, columns) = Maker(seed), extents
    first, second = (tuple(1 if owner == side else size for size, owner in batches) for side in (1, 2))
    left = make.tensor((*first, *((depth, rows) if adjoint[0] else (rows, depth))), dtype)
    right = make.tensor((*second, *((columns, depth) if adjoint[1] else (depth, columns))), dtype)
    options = {"adj_x": adjoint[0], "adj_y": adjoint[1]}
    check_compiled(grids._finish("BATCH_MATMUL", options, [left, right], make, depth))


@settings(max_examples=6)
@given(st.sampled_from((F32, I8, I16)), st.tuples(*[st.integers(1, 6)] * 4), st.booleans(), st.integers(0, 1000))
def test_lstms(dtype: DType, extents: tuple[int, int, int, int], time_major: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    scales = {"weight": float(random.uniform(0.001, 0.1)), "cell_scale": 2.0 ** -int(random.integers(8, 16))}
    zero = int(random.integers(-128, 128)) if dtype is I8 else 0
    model = recurrent.lstm(dtype, extents[:3], extents[3], seed, time_major=time_major, zero=zero, **scales)
    check_compiled(model)


@pytest.mark.parametrize("types", [(F32, F32), (I16, I8), (I8, I8)])
@pytest.mark.parametrize("computed", [(1,), (2,), (1, 2)])
def test_weights_and_biases_may_be_computed(types: tuple[DType, DType], computed: tuple[int, ...]) -> None:
    make = Maker(7)
    model = dense(make, types, 2, 9, 5, {F32: F32, I8: I32, I16: I64}[types[0]])
    graph = model.main
    changed = [replace(t, kind=Kind.INPUT, data=None) if t.id in computed else t for t in graph.tensors]
    free = (*graph.inputs, *(graph.tensors[i].id for i in computed))
    altered = replace(model, graphs=(replace(graph, tensors=tuple(changed), inputs=free),))
    inputs = [tuple(_small(t, make) for t in (altered.main.tensors[i] for i in free)) for _ in range(3)]
    check_compiled(altered, inputs=inputs)


def _small(tensor: Tensor, make: Maker) -> np.ndarray:
    """Values that sums do not overflow."""
    return make.values(tensor.shape, I8 if tensor.dtype in (I32, I64) else tensor.dtype).astype(tensor.dtype.label)


@pytest.mark.parametrize("types", [(I16, I8), (I8, I4)])
def test_long_sums(types: tuple[DType, DType]) -> None:
    """More products than an int32 holds of int16; an odd number of nibbles per row."""
    check_compiled(dense(Maker(3), types, 2, 777, 3, {I8: I32, I16: I64}[types[0]]))


def test_a_transposed_convolution_has_a_bias_of_int16() -> None:
    make = Maker(5)
    x, filters = make.tensor((1, 3, 3, 2), I16), make.weights((4, 3, 3, 2), I8)
    bias = make.bias(x, filters, 4, I64)
    assert bias is not None and bias.data is not None
    narrow = replace(bias, dtype=I16, data=(np.frombuffer(bias.data, np.int64) // 99).astype(np.int16).tobytes())
    options = {"stride_h": 2, "stride_w": 2}
    check_compiled(
        grids._finish("TRANSPOSE_CONV", options, [ints(1, 6, 6, 4), filters, x, narrow], make, 4),
    )


@pytest.mark.parametrize("activation", Activation)
def test_svdf_has_all_activations_on_floats(activation: Activation) -> None:
    make = Maker(9)
    state = make.tensor((2, 12), F32, None, Kind.VARIABLE)
    inputs: list[Tensor | None] = [make.tensor((2, 3), F32), make.weights((4, 3), F32), make.weights((4, 3), F32)]
    attrs = OPERATORS["SVDF"](rank=2, fused_activation_function=activation)
    check_compiled(single(attrs, [*inputs, None, state], [make.tensor((2, 2), F32)]))


def test_weights_of_an_lstm_may_have_zero_points() -> None:
    model = recurrent.lstm(I8, (2, 3, 5), 4, 1, zero=9)
    changed = [
        replace(t, quant=replace(t.quant, zero_point=(t.id - 4,))) if 1 <= t.id <= 8 and t.quant else t
        for t in model.main.tensors
    ]
    check_compiled(replace(model, graphs=(replace(model.main, tensors=tuple(changed)),)))


def mediapipe(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: int) -> Model:
    make = Maker(11)
    attrs = custom("Convolution2DTransposeBias", struct.pack("<3i", padding, stride[1], stride[0]))
    x, filters, bias = make.tensor((2, *size, 3), F32), make.weights((4, *kernel, 3), F32), make.weights((4,), F32)
    shapes = attrs.output_shapes((x, filters, bias))
    assert shapes is not None
    return single(attrs, [x, filters, bias], [tensor(shapes[0])])


@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("kernel, stride", [((2, 2), (2, 2)), ((3, 4), (2, 3)), ((1, 3), (2, 1))])
def test_transposed_convolution_of_mediapipe(padding: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    """Against the definition: every input pixel adds its filters, a stride apart, less what the padding crops."""
    model = parse_tflite(model_to_bytes(mediapipe((4, 5), kernel, stride, padding)), "m.tflite")
    check_compiled(model)
    tensors, x = model.main.tensors, np.random.default_rng(0).standard_normal((2, 4, 5, 3)).astype(np.float32)
    filters, bias = (np.frombuffer(t.data or b"", np.float32).reshape(t.shape) for t in tensors[1:3])
    whole = np.zeros((2, 3 * stride[0] + kernel[0], 4 * stride[1] + kernel[1], 4))
    for row, column in itertools.product(range(4), range(5)):
        ys, xs = row * stride[0], column * stride[1]
        whole[:, ys : ys + kernel[0], xs : xs + kernel[1]] += np.einsum("nc,oijc->nijo", x[:, row, column], filters)
    (result,) = Executor(model).run(x)
    top, left = ((n - m) // 2 for n, m in zip(whole.shape[1:3], result.shape[1:3], strict=True))
    expected = whole[:, top : top + result.shape[1], left : left + result.shape[2]] + bias
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def refused(model: Model) -> str:
    with pytest.raises(UnsupportedOperatorError) as error:
        compile_model(model, flavour=Flavour.PORTABLE)
    return str(error.value)


def test_what_has_no_reference_is_refused() -> None:
    make = Maker(1)
    assert "dynamic-range" in refused(dense(make, (F32, I8), 1, 4, 2, None))
    assert "bias of int32" in refused(dense(make, (F32, F32), 1, 4, 2, I32))
    many = [make.tensor((1, 4), I8), make.weights((2, 4), I4, scales=2)]
    assert "several scales" in refused(grids._finish("FULLY_CONNECTED", {}, [*many], make, 4))
    steep = dense(make, (I16, I8), 1, 4, 2, I64)
    last = steep.main.tensors[-1]
    assert last.quant is not None
    fine = replace(last, quant=replace(last.quant, scale=(1e-12,)))
    assert "16384" in refused(
        replace(steep, graphs=(replace(steep.main, tensors=(*steep.main.tensors[:-1], fine)),)),
    )
    damaged = mediapipe((2, 2), (2, 2), (2, 2), 1)
    op = replace(damaged.main.ops[0], attrs=custom("Convolution2DTransposeBias", b"12"))
    assert "2 bytes of options" in refused(replace(damaged, graphs=(replace(damaged.main, ops=(op,)),)))
    assert "RELU6" in refused(recurrent.altered(fused_activation_function=Activation.RELU6))
    given_state = [replace(t, kind=Kind.INPUT) if t.id == 3 else t for t in svdf().main.tensors]
    graph = replace(svdf().main, tensors=tuple(given_state))
    assert "no variable" in refused(
        replace(svdf(), graphs=(replace(graph, inputs=(*graph.inputs, graph.tensors[3].id)),)),
    )


def svdf() -> Model:
    make = Maker(2)
    state = make.tensor((1, 6), F32, None, Kind.VARIABLE)
    inputs: list[Tensor | None] = [make.tensor((1, 3), F32), make.weights((2, 3), F32), make.weights((2, 3), F32)]
    return single(OPERATORS["SVDF"](rank=1), [*inputs, None, state], [make.tensor((1, 2), F32)])
