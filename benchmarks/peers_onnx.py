# SPDX-License-Identifier: Apache-2.0
"""A model as ONNX operators, for peers that read ONNX only: the same weights, in ONNX's layout `[N,C,H,W]`.

int8 models become `QLinearConv` and ONNX Runtime's `QLinearAdd`, `QLinearAveragePool` and `QLinearSoftmax`, with the
model's scales and zero points; a fully connected operator is a 1x1 convolution, because `QLinearMatMul` has no bias.
Only what the compared models have is converted. `save` writes what `peers_generate.py` reads.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thimble.ir import Activation, Array, DType, Graph, Op, Padding, Shape, Tensor
from thimble.ops.add import Add
from thimble.ops.average_pool_2d import AveragePool2D
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.fully_connected import FullyConnected

Ints = tuple[int, ...]
RUNTIME_DOMAIN = "com.microsoft"


class NotConvertibleError(Exception):
    """ONNX has no operator for this, or this converter does not know it."""


@dataclass(frozen=True)
class Node:
    """An ONNX operator; `domain` is empty for ONNX's own."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""


@dataclass
class OnnxModel:
    """Operators and constants by name; `input`, `output` and `tensors` are (name, shape, NumPy's type)."""

    input: tuple[str, Shape, str]
    output: tuple[str, Shape, str]
    tensors: list[tuple[str, Shape, str]] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def add(self, kind: str, inputs: tuple[str, ...], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Append an operator; the name of its output."""
        self.nodes.append(Node(kind, inputs, output, attributes, domain))
        return output

    def constant(self, name: str, value: Array) -> str:
        """Store a constant once; its name."""
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def save(self, path: Path) -> None:
        """Write `path`.json and `path`.npz."""
        nodes = [vars(node) for node in self.nodes]
        text = json.dumps({"input": self.input, "output": self.output, "tensors": self.tensors, "nodes": nodes})
        path.with_suffix(".json").write_text(text, encoding="utf-8")
        np.savez(path.with_suffix(".npz"), **self.constants)


def channels_first(array: Array) -> Array:
    """`[N,H,W,C]` to `[N,C,H,W]`; others stay as they are."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


def converted(graph: Graph) -> OnnxModel:
    """A graph with one input and one output as ONNX operators.

    Raises:
        NotConvertibleError: an operator or an option that this converter does not know.
    """
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    model = OnnxModel(_port(source), _port(result))
    for op in graph.ops:
        model.tensors += [_port(tensor) for tensor in graph.results(op) if tensor is not result]
        convert = _CONVERTERS.get(op.kind)
        if convert is None:
            raise NotConvertibleError(f"no conversion of {op.kind}")
        convert(model, graph, op)
    return model


def _port(tensor: Tensor) -> tuple[str, Shape, str]:
    return _name(tensor), _shape(tensor.shape), tensor.dtype.label


def _name(tensor: Tensor) -> str:
    return f"t{tensor.id}"


def _shape(shape: Shape) -> Shape:
    return (shape[0], shape[3], shape[1], shape[2]) if len(shape) == 4 else shape


def _values(tensor: Tensor) -> Array:
    if tensor.data is None:
        raise NotConvertibleError(f"'{tensor.name}' is no constant")
    return np.frombuffer(tensor.data, tensor.dtype.label)[: tensor.elements].reshape(tensor.shape)


def _is_int8(tensor: Tensor) -> bool:
    return tensor.dtype is DType.INT8


def _scale(model: OnnxModel, tensor: Tensor) -> tuple[str, str]:
    """Names of a tensor's scale and zero point; one scale for all channels where all are equal."""
    assert tensor.quant is not None
    name, scale, zero = _name(tensor), tensor.quant.scale, tensor.quant.zero_point
    if len(set(scale)) == 1 and len(set(zero)) == 1:
        scale, zero = scale[:1], zero[:1]
    shape = () if len(scale) == 1 else (len(scale),)
    zeros = np.broadcast_to(np.array(zero, np.int8), (len(scale),)).reshape(shape)
    return (
        model.constant(f"{name}_scale", np.array(scale, np.float32).reshape(shape)),
        model.constant(f"{name}_zero", zeros),
    )


def _activated(model: OnnxModel, activation: Activation, output: Tensor, produced: str) -> None:
    """The fused activation. In int8 it is the saturation already, or this is not convertible."""
    if _is_int8(output):
        _check_saturates(activation, output)
    elif activation is Activation.RELU:
        model.add("Relu", (produced,), _name(output))
    elif activation is Activation.RELU6:
        low, high = (model.constant(n, np.array(v, np.float32)) for n, v in (("zero", 0), ("six", 6)))
        model.add("Clip", (produced, low, high), _name(output))
    elif activation is not Activation.NONE:
        raise NotConvertibleError(f"no conversion of {activation}")


def _check_saturates(activation: Activation, output: Tensor) -> None:
    assert output.quant is not None
    scale, zero = output.quant.scale[0], output.quant.zero_point[0]
    bounds = {Activation.NONE: (-math.inf, math.inf), Activation.RELU: (0, math.inf), Activation.RELU6: (0, 6)}
    low, high = bounds.get(activation, (math.inf, -math.inf))
    if low / scale + zero > -128 or high / scale + zero < 126.5:
        raise NotConvertibleError(f"the clamp of '{output.name}' is not the saturation of int8")


def _before(activation: Activation, output: Tensor) -> str:
    """The name of what a fused activation is applied to."""
    plain = activation is Activation.NONE or _is_int8(output)
    return _name(output) if plain else f"{_name(output)}_linear"


def _pads(x: Shape, out: Shape, taps: Ints, strides: Ints, dilations: Ints, padding: Padding) -> Ints:
    if padding is Padding.VALID:
        return (0, 0, 0, 0)
    total = [
        max((o - 1) * s + (k - 1) * d + 1 - i, 0)
        for i, o, k, s, d in zip(x[1:3], out[1:3], taps, strides, dilations, strict=True)
    ]
    return (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)


def _convolution(model: OnnxModel, graph: Graph, op: Op) -> None:
    x, filters, bias = _operands(graph, op)
    out, attrs = graph.tensors[op.outputs[0]], op.attrs
    assert isinstance(attrs, Conv2D | DepthwiseConv2D)
    depthwise = isinstance(attrs, DepthwiseConv2D)
    strides, dilations = (attrs.stride_h, attrs.stride_w), (attrs.dilation_h_factor, attrs.dilation_w_factor)
    taps = (filters.shape[1], filters.shape[2])
    weights = _values(filters).transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    _weighted(
        model,
        (x, filters, bias, out),
        weights,
        attrs.fused_activation_function,
        group=x.shape[3] if depthwise else 1,
        kernel_shape=taps,
        strides=strides,
        dilations=dilations,
        pads=_pads(x.shape, out.shape, taps, strides, dilations, attrs.padding),
    )


def _fully_connected(model: OnnxModel, graph: Graph, op: Op) -> None:
    x, filters, bias = _operands(graph, op)
    out, attrs = graph.tensors[op.outputs[0]], op.attrs
    assert isinstance(attrs, FullyConnected)
    weights, activation, source = _values(filters), attrs.fused_activation_function, _name(x)
    if len(x.shape) == 4 and x.shape[1:3] != (1, 1):
        raise NotConvertibleError("a fully connected operator on an image")
    if not _is_int8(x):
        if len(x.shape) == 4:
            source = model.add("Flatten", (source,), f"{source}_flat")
        names = (model.constant(_name(filters), weights), model.constant(_name(bias), _values(bias)))
        produced = model.add("Gemm", (source, *names), _before(activation, out), transB=1)
        _activated(model, activation, out, produced)
        return
    if len(x.shape) != 4:
        pixel = model.constant(f"{_name(out)}_shape", np.array((1, weights.shape[1], 1, 1), np.int64))
        source = model.add("Reshape", (source, pixel), f"{_name(out)}_pixel")
    image = f"{_name(out)}_image"
    _weighted(
        model,
        (x, filters, bias, out),
        weights[:, :, None, None],
        activation,
        names=(source, image),
        kernel_shape=(1, 1),
    )
    model.add("Flatten", (image,), _name(out))


def _weighted(
    model: OnnxModel,
    tensors: tuple[Tensor, Tensor, Tensor, Tensor],
    weights: Array,
    activation: Activation,
    names: tuple[str, str] | None = None,
    **attributes: Any,
) -> None:
    """A convolution of (input, filters, bias, output); `names` are those of input and output where not the tensors'."""
    x, filters, bias, out = tensors
    source, target = names or (_name(x), _before(activation, out))
    constants = model.constant(_name(filters), weights), model.constant(_name(bias), _values(bias))
    if not _is_int8(x):
        model.add("Conv", (source, *constants), target, **attributes)
    else:
        operands = (source, *_scale(model, x), constants[0], *_scale(model, filters), *_scale(model, out), constants[1])
        model.add("QLinearConv", operands, target, **attributes)
    _activated(model, activation, out, target)


def _operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor]:
    x, filters, bias = graph.operands(op)
    if x is None or filters is None or bias is None:
        raise NotConvertibleError(f"{op.kind} without a bias")
    return x, filters, bias


def _add(model: OnnxModel, graph: Graph, op: Op) -> None:
    left, right = (graph.tensors[i] for i in op.inputs if i is not None)
    out = graph.tensors[op.outputs[0]]
    assert isinstance(op.attrs, Add)
    activation = op.attrs.fused_activation_function
    target = _before(activation, out)
    if _is_int8(out):
        operands = (_name(left), *_scale(model, left), _name(right), *_scale(model, right), *_scale(model, out))
        model.add("QLinearAdd", operands, target, domain=RUNTIME_DOMAIN)
    else:
        model.add("Add", (_name(left), _name(right)), target)
    _activated(model, activation, out, target)


def _unweighted(model: OnnxModel, x: Tensor, out: Tensor, kind: str, **attributes: Any) -> None:
    """An operator without weights; in int8 it is ONNX Runtime's."""
    if not _is_int8(x):
        model.add(kind, (_name(x),), _name(out), **attributes)
        return
    operands = (_name(x), *_scale(model, x), *_scale(model, out))
    model.add(f"QLinear{kind}", operands, _name(out), domain=RUNTIME_DOMAIN, **attributes)


def _average_pool(model: OnnxModel, graph: Graph, op: Op) -> None:
    x, out, attrs = graph.tensors[op.inputs[0] or 0], graph.tensors[op.outputs[0]], op.attrs
    assert isinstance(attrs, AveragePool2D)
    if attrs.fused_activation_function is not Activation.NONE:
        raise NotConvertibleError("pooling with an activation")
    taps, strides = (attrs.filter_height, attrs.filter_width), (attrs.stride_h, attrs.stride_w)
    pads = _pads(x.shape, out.shape, taps, strides, (1, 1), attrs.padding)
    _unweighted(model, x, out, "AveragePool", kernel_shape=taps, strides=strides, pads=pads)


def _softmax(model: OnnxModel, graph: Graph, op: Op) -> None:
    x, out = graph.tensors[op.inputs[0] or 0], graph.tensors[op.outputs[0]]
    opset = {"opset": 13} if _is_int8(x) else {}
    _unweighted(model, x, out, "Softmax", axis=-1, **opset)


def _reshape(model: OnnxModel, graph: Graph, op: Op) -> None:
    x, out = graph.tensors[op.inputs[0] or 0], graph.tensors[op.outputs[0]]
    if len(out.shape) != 2 or (len(x.shape) == 4 and x.shape[1:3] != (1, 1)):
        raise NotConvertibleError(f"a reshape of {x.shape} to {out.shape}, whose order depends on the layout")
    model.add("Flatten", (_name(x),), _name(out))


_CONVERTERS = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _add,
    "AVERAGE_POOL_2D": _average_pool,
    "SOFTMAX": _softmax,
    "RESHAPE": _reshape,
}
