# SPDX-License-Identifier: Apache-2.0
"""Networks over time: a temporal convolutional network and an LSTM."""

from __future__ import annotations

import numpy as np

from thimble.ir import Activation, DType, Kind, Model, Padding, Quant, TensorId
from thimble.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLSTM
from thimble.zoo.builder import Builder
from thimble.zoo.values import Stats, Value
from thimble.zoo.weights import SPREAD

_RELU = Activation.RELU
_STATE = Quant((1 / 128,), (0,))
_CELL = Quant((1 / 4096,), (0,))  # a power of two, as the integer kernel requires: the cell spans -8 to 8


def _causal(b: Builder, x: Value, channels: int, kernel: int, dilation: int) -> Value:
    """A convolution over time that sees no later steps: all padding goes in front."""
    before = (kernel - 1) * dilation
    padded = b.pad(x, ((0, 0), (0, 0), (before, 0), (0, 0)))
    return b.conv(padded, channels, (1, kernel), activation=_RELU, padding=Padding.VALID, dilation=(1, dilation))


def tcn(
    *,
    steps: int = 784,
    features: int = 1,
    channels: int = 25,
    kernel: int = 7,
    levels: int = 8,
    classes: int = 10,
    seed: int = 15,
) -> Model:
    """Temporal convolutional network: residual blocks of two dilated causal convolutions over `[1,1,steps,C]`.

    The defaults are the paper's network for sequential MNIST. Published: about 70 k parameters.

    Source: Bai, Kolter and Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
    Sequence Modeling", arXiv 1803.01271, table 1.
    """
    b = Builder("tcn", seed)
    x = sequence = b.input((1, 1, steps, features))
    for level in range(levels):
        y = _causal(b, x, channels, kernel, 2**level)
        y = _causal(b, y, channels, kernel, 2**level)
        x = b.add(x if x.channels == channels else b.conv(x, channels), y, _RELU)
    last = b.crop(x, (0, 0, steps - 1, 0), (1, 1, steps, channels))
    return b.model([sequence], [b.classify(b.reshape(last, (1, channels)), classes)])


def _gates(b: Builder, x: Value, units: int) -> tuple[list[TensorId], list[TensorId], list[TensorId]]:
    """Input weights, recurrent weights and biases of the input, forget, cell and output gate."""
    kinds: tuple[list[TensorId], list[TensorId], list[TensorId]] = ([], [], [])
    for gate in ("input", "forget", "cell", "output"):
        spread = float(np.float32(1 / (x.stats.std * SPREAD * np.sqrt(x.channels))))
        weights = b.stream.weights((units, x.channels))
        kinds[0].append(b.constant(f"{gate}/input_weights", weights, Quant((spread,), (0,))))
        recurrent = float(np.float32(1.5 / (SPREAD * np.sqrt(units))))
        kinds[1].append(
            b.constant(f"{gate}/recurrent_weights", b.stream.weights((units, units)), Quant((recurrent,), (0,)))
        )
        scale = float(np.float32(x.scale * spread))
        shift = weights.sum(axis=1, dtype=np.int64) * (x.stats.mean / x.scale)
        bias = np.rint(b.stream.factors(units, -0.5, 0.5) / scale - shift).astype(np.int32)
        kinds[2].append(b.constant(f"{gate}/bias", bias, Quant((scale,), (0,))))
    return kinds


def _layer(b: Builder, x: Value, units: int) -> Value:
    """A fused integer LSTM over `[1,T,C]`, with its state, and the intermediates whose scales the kernel reads."""
    weights, recurrent, biases = _gates(b, x, units)
    states = (
        b.tensor("output_state", (1, units), DType.INT8, _STATE, Kind.VARIABLE),
        b.tensor("cell_state", (1, units), DType.INT16, _CELL, Kind.VARIABLE),
    )
    unused = [b.tensor(f"gate_{i}", (0,), DType.FLOAT32, None, Kind.ACTIVATION) for i in range(4)]
    hidden = b.tensor("hidden", (0,), DType.INT8, _STATE, Kind.ACTIVATION)
    operands = [x.id, *weights, *recurrent, *[None] * 3, *biases, *[None] * 2, *states, *[None] * 4]
    attrs = UnidirectionalSequenceLSTM(Activation.TANH)
    return b.op(attrs, operands, _STATE, Stats(0.0, 0.3), (*unused, hidden))


def lstm(*, steps: int = 28, features: int = 28, units: int = 20, classes: int = 10, seed: int = 16) -> Model:
    """One fused LSTM layer over the rows of a 28x28 image, then a classifier of all its outputs.

    Published: the tutorial network for LSTM on microcontrollers, 3,920 parameters in the layer and 5,610 behind it.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997.
    """
    b = Builder("lstm", seed)
    image = b.input((1, steps, features), 0.0, 1.0)
    x = _layer(b, image, units)
    return b.model([image], [b.classify(b.reshape(x, (1, steps * units)), classes)])
