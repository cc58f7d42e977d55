# SPDX-License-Identifier: Apache-2.0
"""Builds int8 networks operator by operator: shapes from the operators' rules, scales from expected statistics.

Every method appends one operator (or the few that a converter makes of one layer) and returns its output. Batch
normalization is folded into the convolutions, activations are fused, and the constraints of TFLite's int8
kernels hold: pools, reshapes, pads and concatenations keep scale and zero point, a bias has the scale of
input times weights, softmax and logistic give 1/256 and -128.

Source: "TensorFlow Lite 8-bit quantization specification".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from thimble.exporters.tflite import model_to_bytes
from thimble.importers.tflite import parse_tflite
from thimble.ir import (
    Activation,
    Attrs,
    DType,
    Graph,
    Kind,
    Model,
    Op,
    OpId,
    Padding,
    Quant,
    Shape,
    Source,
    Tensor,
    TensorId,
    require,
)
from thimble.ops.add import Add
from thimble.ops.average_pool_2d import AveragePool2D
from thimble.ops.concatenation import Concatenation
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.logistic import Logistic
from thimble.ops.max_pool_2d import MaxPool2D
from thimble.ops.mean import Mean
from thimble.ops.mul import Mul
from thimble.ops.pad import Pad
from thimble.ops.quantize import Quantize
from thimble.ops.relu import Relu
from thimble.ops.reshape import Reshape
from thimble.ops.resize_bilinear import ResizeBilinear
from thimble.ops.softmax import Softmax
from thimble.ops.strided_slice import StridedSlice
from thimble.zoo import values
from thimble.zoo.values import Stats, Value, affine
from thimble.zoo.weights import SPREAD, Stream

Size = int | tuple[int, int]
_PROBABILITY = Quant((1 / 256,), (-128,))
_RELU6_GAIN = 2.0  # deviation before a ReLU6, so that its upper bound cuts off some values


def _window(stride: Size, dilation: Size) -> dict[str, Any]:
    """Attributes of a convolution's window."""
    (down, across), (rows, cols) = pair(stride), pair(dilation)
    return {"stride_h": down, "stride_w": across, "dilation_h_factor": rows, "dilation_w_factor": cols}


def pair(size: Size) -> tuple[int, int]:
    """Rows and columns of a size given as one number or as two."""
    return (size, size) if isinstance(size, int) else size


class Builder:
    """One network being built.

    Args:
        name: name of the model.
        seed: of the weights.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.stream = Stream(seed)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self._integers: dict[tuple[int, ...], TensorId] = {}
        self._rectified: dict[TensorId, Value] = {}

    def tensor(
        self, name: str, shape: Shape, dtype: DType, quant: Quant | None, kind: Kind, *, data: bytes | None = None
    ) -> TensorId:
        """Append a tensor; a constant has its own buffer."""
        index = len(self.tensors)
        buffer = index + 1 if data is not None else 0
        self.tensors.append(Tensor(TensorId(index), name, shape, dtype, quant, kind, data, buffer=buffer))
        return TensorId(index)

    def constant(self, name: str, array: npt.NDArray[np.signedinteger], quant: Quant | None = None) -> TensorId:
        """Append an int8 or int32 constant; arrays of the same kind are written little-endian."""
        dtype = DType.INT8 if array.dtype == np.int8 else DType.INT32
        data = array.astype("<i1" if dtype is DType.INT8 else "<i4").tobytes()
        return self.tensor(name, tuple(array.shape), dtype, quant, Kind.CONSTANT, data=data)

    def integers(self, numbers: Sequence[int] | npt.NDArray[np.int32], name: str) -> TensorId:
        """A constant of plain integers (a shape, axes, paddings); equal ones share a tensor."""
        array = np.array(numbers, dtype=np.int32)
        key = (*array.shape, -1, *array.ravel().tolist())
        if key not in self._integers:
            self._integers[key] = self.constant(f"{name}_{len(self._integers)}", array)
        return self._integers[key]

    def op(
        self,
        attrs: Attrs,
        inputs: Sequence[TensorId | None],
        quant: Quant,
        stats: Stats,
        intermediates: tuple[TensorId, ...] = (),
    ) -> Value:
        """Append an operator with one int8 output, whose shape is the operator's rule's."""
        shapes = attrs.output_shapes(tuple(None if i is None else self.tensors[i] for i in inputs))
        require(shapes is not None and len(shapes) == 1, f"{attrs.OP}: one output of known shape is required")
        assert shapes is not None
        index = len(self.ops)
        name = f"{attrs.OP.lower()}_{index}"
        output = self.tensor(name, shapes[0], DType.INT8, quant, Kind.ACTIVATION)
        source = Source(f"{self.name}.tflite", "main", index)
        self.ops.append(Op(OpId(index), name, attrs, tuple(inputs), (output,), source, intermediates))
        return Value(output, shapes[0], quant, stats)

    def input(self, shape: Shape, low: float = -1.0, high: float = 1.0) -> Value:
        """The network's input, with real values from `low` to `high`."""
        quant, stats = affine(low, high), Stats((low + high) / 2, (high - low) / 4)
        index = self.tensor(
            "input" if not self.tensors else f"input_{len(self.tensors)}", shape, DType.INT8, quant, Kind.INPUT
        )
        return Value(index, shape, quant, stats)

    def conv(
        self,
        x: Value,
        channels: int,
        kernel: Size = 1,
        stride: Size = 1,
        *,
        activation: Activation = Activation.NONE,
        padding: Padding = Padding.SAME,
        dilation: Size = 1,
        quant: Quant | None = None,
        gain: float = 1.0,
    ) -> Value:
        """2-D convolution with folded batch normalization.

        `quant` fixes the output's quantization, `gain` is the deviation of the result before the activation.
        """
        attrs = Conv2D(**_window(stride, dilation), padding=padding, fused_activation_function=activation)
        weights = self.stream.weights((channels, *pair(kernel), x.channels))
        return self._linear(attrs, x, weights, 0, activation=activation, gain=gain, quant=quant)

    def depthwise(
        self,
        x: Value,
        kernel: Size = 3,
        stride: Size = 1,
        *,
        activation: Activation = Activation.NONE,
        padding: Padding = Padding.SAME,
        dilation: Size = 1,
    ) -> Value:
        """Depthwise convolution with multiplier 1 and folded batch normalization."""
        window = _window(stride, dilation)
        attrs = DepthwiseConv2D(**window, padding=padding, depth_multiplier=1, fused_activation_function=activation)
        weights = self.stream.weights((1, *pair(kernel), x.channels))
        return self._linear(attrs, x, weights, 3, activation=activation)

    def _linear(
        self,
        attrs: Attrs,
        x: Value,
        weights: npt.NDArray[np.int8],
        axis: int,
        *,
        activation: Activation,
        gain: float = 1.0,
        quant: Quant | None = None,
    ) -> Value:
        """Scale the weights per channel so that the output has deviation `gain`, and centre it by the bias."""
        channels = weights.shape[axis]
        wide = np.moveaxis(weights, axis, 0).reshape(channels, -1).astype(np.int64)
        norms = np.sqrt(np.maximum((wide * wide).sum(axis=1), 1).astype(np.float64))
        gain *= _RELU6_GAIN if activation is Activation.RELU6 else 1.0
        scales = (gain * self.stream.factors(channels, 0.75, 1.25) / (x.stats.std * norms)).astype(np.float32)
        stats, own = values.activated(Stats(0.0, gain), activation)
        inputs = self._weights(x, weights, scales, wide.sum(axis=1), axis)
        return self.op(attrs, inputs, quant or own, stats)

    def _weights(
        self,
        x: Value,
        weights: npt.NDArray[np.int8],
        scales: npt.NDArray[np.float32],
        sums: npt.NDArray[np.int64],
        axis: int,
    ) -> tuple[TensorId, TensorId, TensorId]:
        """Operands of a linear operator; the bias takes off what the input's mean adds, and adds a little noise."""
        channels, name = weights.shape[axis], f"layer_{len(self.ops)}"
        bias_scales = (np.float32(x.scale) * scales).astype(np.float32)
        noise = self.stream.factors(channels, -0.25, 0.25) * scales * (x.stats.std * SPREAD)
        bias = np.rint(noise / bias_scales - sums * (x.stats.mean / x.scale)).astype(np.int32)
        zeros = (0,) * len(scales)
        filters = self.constant(f"{name}/weights", weights, Quant(tuple(map(float, scales)), zeros, axis))
        return x.id, filters, self.constant(f"{name}/bias", bias, Quant(tuple(map(float, bias_scales)), zeros))

    def dense(
        self,
        x: Value,
        units: int,
        *,
        activation: Activation = Activation.NONE,
        gain: float = 1.0,
        quant: Quant | None = None,
    ) -> Value:
        """Fully connected layer with one scale for all weights; `gain` and `quant` as for `conv`."""
        weights = self.stream.weights((units, x.channels))
        scale = np.array([gain / (x.stats.std * SPREAD * np.sqrt(x.channels))], dtype=np.float32)
        inputs = self._weights(x, weights, scale, weights.sum(axis=1, dtype=np.int64), 0)
        stats, own = values.activated(Stats(0.0, gain), activation)
        return self.op(FullyConnected(activation), inputs, quant or own, stats)

    def add(self, a: Value, b: Value, activation: Activation = Activation.NONE, quant: Quant | None = None) -> Value:
        stats, own = values.activated(values.summed(a.stats, b.stats), activation)
        return self.op(Add(activation), (a.id, b.id), quant or own, stats)

    def mul(self, a: Value, b: Value) -> Value:
        stats = values.multiplied(a.stats, b.stats)
        positive = a.quant.zero_point[0] == b.quant.zero_point[0] == -128
        low = 0.0 if positive else stats.mean - values.TAIL * stats.std
        return self.op(Mul(), (a.id, b.id), affine(low, stats.mean + values.TAIL * stats.std), stats)

    def batch_norm(self, x: Value, activation: Activation = Activation.NONE) -> Value:
        """A normalization that no convolution precedes: MUL and ADD with one constant per channel."""
        n = x.channels
        gammas = self.stream.weights((1, 1, 1, n)).astype(np.int16) // 4 + 64  # 32 to 95, of 127
        top = float(np.float32(2.0 / (127 * x.stats.std)))
        gamma = self.constant(f"layer_{len(self.ops)}/gamma", gammas.astype(np.int8), Quant((top,), (0,)))
        scaled = Stats(x.stats.mean / x.stats.std, 1.1)
        high, low = scaled.mean + values.TAIL * scaled.std, scaled.mean - values.TAIL * scaled.std
        product = self.op(Mul(), (x.id, gamma), affine(low if x.quant.zero_point[0] > -128 else 0.0, high), scaled)
        shift = -gammas.astype(np.float64) * (top * x.stats.mean)
        reach = float(np.float32(max(2 * abs(scaled.mean), 1.0) / 127))
        steps = np.rint((shift + self.stream.factors(n, -0.25, 0.25)) / reach)
        beta = self.constant(
            f"layer_{len(self.ops)}/beta", np.clip(steps, -127, 127).astype(np.int8), Quant((reach,), (0,))
        )
        stats, quant = values.activated(Stats(0.0, 1.1), activation)
        return self.op(Add(activation), (product.id, beta), quant, stats)

    def relu(self, x: Value) -> Value:
        """A ReLU on its own, once per tensor; nothing where the tensor holds no negative values."""
        if x.quant.zero_point[0] == -128:
            return x
        if x.id not in self._rectified:
            stats, quant = values.activated(x.stats, Activation.RELU)
            self._rectified[x.id] = self.op(Relu(), (x.id,), quant, stats)
        return self._rectified[x.id]

    def requantize(self, x: Value, quant: Quant) -> Value:
        """QUANTIZE to another scale; nothing where it is the same already."""
        return x if x.quant == quant else self.op(Quantize(), (x.id,), quant, x.stats)

    def concat(self, parts: Sequence[Value], axis: int = -1) -> Value:
        """Join along an axis; parts of another scale than the widest are requantized, as the kernel requires."""
        quant = max((p.quant for p in parts), key=lambda q: q.scale)
        same = [self.requantize(p, quant) for p in parts]
        stats = values.mixed([(p.channels, p.stats) for p in parts])
        rank = len(parts[0].shape)
        return self.op(Concatenation(axis % rank), [p.id for p in same], quant, stats)

    def max_pool(self, x: Value, kernel: Size, stride: Size, padding: Padding = Padding.SAME) -> Value:
        (rows, cols), (down, across) = pair(kernel), pair(stride)
        attrs = MaxPool2D(padding, stride_w=across, stride_h=down, filter_width=cols, filter_height=rows)
        return self.op(attrs, (x.id,), x.quant, values.largest(x.stats, rows * cols))

    def average_pool(self, x: Value, kernel: Size, stride: Size, padding: Padding = Padding.SAME) -> Value:
        (rows, cols), (down, across) = pair(kernel), pair(stride)
        attrs = AveragePool2D(padding, stride_w=across, stride_h=down, filter_width=cols, filter_height=rows)
        return self.op(attrs, (x.id,), x.quant, values.averaged(x.stats, rows * cols))

    def global_pool(self, x: Value) -> Value:
        """`[N,H,W,C]` to `[N,1,1,C]` by AVERAGE_POOL_2D, in the input's scale."""
        window = (x.shape[1], x.shape[2])
        return self.average_pool(x, window, window, Padding.VALID)

    def mean(self, x: Value, keep_dims: bool = False) -> Value:
        """`[N,H,W,C]` to `[N,C]` (or `[N,1,1,C]`) by MEAN, in a scale of its own."""
        stats = values.averaged(x.stats, x.shape[1] * x.shape[2])
        low = 0.0 if x.quant.zero_point[0] == -128 else stats.mean - values.TAIL * stats.std
        axes = self.integers((1, 2), "axes")
        return self.op(Mean(keep_dims), (x.id, axes), affine(low, stats.mean + values.TAIL * stats.std), stats)

    def pad(self, x: Value, before_after: Sequence[tuple[int, int]]) -> Value:
        """Zeros around the input: one pair per axis."""
        return self.op(Pad(), (x.id, self.integers(np.array(before_after), "paddings")), x.quant, x.stats)

    def crop(self, x: Value, start: Sequence[int], stop: Sequence[int]) -> Value:
        """The part from `start` (inclusive) to `stop` (exclusive) along each axis."""
        bounds = [self.integers(n, "bounds") for n in (start, stop, [1] * len(start))]
        return self.op(StridedSlice(), (x.id, *bounds), x.quant, x.stats)

    def reshape(self, x: Value, shape: Shape) -> Value:
        return self.op(Reshape(shape), (x.id, self.integers(shape, "shape")), x.quant, x.stats)

    def resize(self, x: Value, rows: int, cols: int, *, align_corners: bool = False) -> Value:
        """Bilinear interpolation to `rows` and `cols`; pixel centres are at halves unless corners are aligned."""
        attrs = ResizeBilinear(align_corners, not align_corners)
        return self.op(attrs, (x.id, self.integers((rows, cols), "size")), x.quant, x.stats)

    def logistic(self, x: Value) -> Value:
        return self.op(Logistic(), (x.id,), _PROBABILITY, Stats(0.5, min(0.2 * x.stats.std, 0.4)))

    def softmax(self, x: Value) -> Value:
        return self.op(Softmax(1.0), (x.id,), _PROBABILITY, Stats(1 / x.channels, 1 / x.channels))

    def classify(self, x: Value, classes: int) -> Value:
        """Logits with a spread that lets softmax prefer a few classes, and room for more, then softmax."""
        gain = 0.45 * math.log(classes + 1)
        return self.softmax(self.dense(x, classes, gain=gain, quant=affine(-6 * gain, 6 * gain)))

    def model(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Model:
        """The finished model, written and read back: it has been through every check of the importer."""
        graph = Graph(
            "main",
            tuple(self.tensors),
            tuple(self.ops),
            tuple(v.id for v in inputs),
            tuple(v.id for v in outputs),
        )
        draft = Model(self.name, f"{self.name}.tflite", "tflite", 0, (graph,))
        return parse_tflite(model_to_bytes(draft), draft.file)
