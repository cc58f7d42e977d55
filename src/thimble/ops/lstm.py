# SPDX-License-Identifier: Apache-2.0
"""The LSTM layer in NumPy, in TFLM's fixed point and in floats: what one step of the recurrence is made of.

    input[t] --> fed ----+--> input gate i, forget gate f, output gate o: sigmoid
    hidden ---> recurrent +--> cell gate g: tanh
    cell <- clip(f * cell + i * g)        hidden <- tanh(cell) * o        output[t] <- hidden

Operands are numbered as in `unidirectional_sequence_lstm`. Fixed point: gates are fed in Q3.12 and answer in Q0.15.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thimble.ops.lookup16 import sigmoid16, tanh16
from thimble.ops.numerics import (
    Array,
    Call,
    limits,
    multiply_by_quantized_multiplier,
    multiply_wide,
    quant_of,
    quantize_multiplier,
)

HIDDEN, CELL = 18, 19  # operands: the state
_FED, _GATE = 2.0**-12, 2.0**-15  # scales before and after a gate's nonlinearity


class Arithmetic(Protocol):
    """What the recurrence needs of its numbers; weights and biases are given by operand number."""

    def dense(self, x: Array, weights: int, bias: int | None) -> Array:
        """Weights `[cells,C]` times the last axis of `x`, plus the bias."""

    def add(self, a: Array, b: Array) -> Array: ...

    def sigmoid(self, x: Array) -> Array: ...

    def tanh(self, x: Array) -> Array:
        """Of what is fed to the cell gate."""

    def keep(self, forget: Array, cell: Array) -> Array: ...

    def admit(self, gate: Array, candidate: Array) -> Array: ...

    def clip(self, cell: Array) -> Array: ...

    def emit(self, cell: Array, gate: Array) -> Array: ...


def run(call: Call, arithmetic: Arithmetic, time_major: bool) -> Array:
    """Output of the layer; the arrays of the two state operands are updated in place.

    Args:
        call: the operands; operand 0 is `[batch,time,C]`, or `[time,batch,C]` if `time_major`.
        arithmetic: how its type computes.
        time_major: whether time is the first axis.

    Source: EvalLstm, tensorflow/lite/micro/kernels/lstm_eval.h.
    """
    x = call.value(0) if time_major else call.value(0).swapaxes(0, 1)
    state = (x.shape[1], call.tensor(5).shape[0])
    hidden, cell = call.value(HIDDEN).reshape(state), call.value(CELL).reshape(state)  # views
    fed = [arithmetic.dense(x, 1 + gate, 12 + gate) for gate in range(4)]
    output = np.empty((*x.shape[:2], state[1]), x.dtype)
    for time in range(len(x)):
        gates = [arithmetic.add(fed[gate][time], arithmetic.dense(hidden, 5 + gate, None)) for gate in range(4)]
        admitted = arithmetic.admit(arithmetic.sigmoid(gates[0]), arithmetic.tanh(gates[2]))
        kept = arithmetic.keep(arithmetic.sigmoid(gates[1]), cell)
        cell[...] = arithmetic.clip(arithmetic.add(kept, admitted))
        hidden[...] = arithmetic.emit(cell, arithmetic.sigmoid(gates[3]))
        output[time] = hidden
    return output if time_major else np.ascontiguousarray(output.swapaxes(0, 1))


@dataclass(frozen=True, slots=True)
class Floats:
    """float32 throughout. Source: PrepareGateParametersFloat, tensorflow/lite/micro/kernels/lstm_eval_common.cc."""

    call: Call
    cell_clip: float

    def dense(self, x: Array, weights: int, bias: int | None) -> Array:
        product: Array = x @ self.call.value(weights).T
        return product if bias is None else product + self.call.value(bias)

    def add(self, a: Array, b: Array) -> Array:
        return a + b

    def sigmoid(self, x: Array) -> Array:
        with np.errstate(over="ignore"):  # infinity is what makes the result 0
            result: Array = 1 / (1 + np.exp(-x))
        return result

    def tanh(self, x: Array) -> Array:
        return np.tanh(x)

    def keep(self, forget: Array, cell: Array) -> Array:
        return forget * cell

    def admit(self, gate: Array, candidate: Array) -> Array:
        return gate * candidate

    def clip(self, cell: Array) -> Array:
        bound = np.float32(self.cell_clip)
        return np.clip(cell, -bound, bound) if self.cell_clip > 0 else cell

    def emit(self, cell: Array, gate: Array) -> Array:
        return np.tanh(cell) * gate


@dataclass(frozen=True, slots=True)
class Integers:
    """int8 weights, int16 cells, activations of int8 (bias int32) or int16 (bias int64).

    Source: PrepareGateParametersInteger, tensorflow/lite/micro/kernels/lstm_eval_common.cc, and lstm_eval.cc.
    """

    call: Call
    cell_clip: float

    def _scale(self, operand: int) -> float:
        """A tensor's scale, which is a float32."""
        return float(np.float32(quant_of(self.call.tensor(operand)).scale[0]))

    def fed_scale(self, weights: int) -> float:
        """From sums over weights to what a gate is fed.

        The product of the scales in double: in float32 some mantissas of 15 bits would differ from TFLM's.
        """
        return self._scale(0 if weights < 5 else HIDDEN) * self._scale(weights) / _FED

    def cell_scales(self) -> tuple[float, float, float]:
        """Of products, from gate times cell and gate times gate to the cell, and from gate times gate to the output."""
        cell = self._scale(CELL)
        return _GATE * cell / cell, _GATE * _GATE / cell, _GATE * _GATE / self._scale(HIDDEN)

    def cell_bounds(self) -> tuple[int, int]:
        """Range of the cell state."""
        if self.cell_clip <= 0:
            return -(1 << 15), (1 << 15) - 1
        bound = int(min(float(np.float32(self.cell_clip)) / self._scale(CELL), 32767.0))
        return -bound, bound

    def squash_scale(self) -> tuple[int, int]:
        """Multiplier and shift of `tanh16` for the cell state, whose scale is taken for the nearest power of two."""
        power = np.log(np.float32(self._scale(CELL))) * (np.float32(1) / np.log(np.float32(2)))
        shift = 12 + int(math.copysign(math.floor(abs(power) + 0.5), power))
        return (3, -shift) if shift < 0 else (0, shift)

    def dense(self, x: Array, weights: int, bias: int | None) -> Array:
        source = 0 if weights < 5 else HIDDEN
        zero = quant_of(self.call.tensor(source)).zero_point[0]
        matrix = self.call.value(weights).astype(np.int64) - quant_of(self.call.tensor(weights)).zero_point[0]
        total = (x.astype(np.int64) - zero) @ matrix.T
        if bias is not None:
            total = total + self.call.value(bias).astype(np.int64)
        mantissa, shift = quantize_multiplier(self.fed_scale(weights))
        wide = x.dtype == np.int16  # 64-bit sums, which TFLM scales by another function
        rescale = multiply_wide if wide else multiply_by_quantized_multiplier
        return saturated(rescale(total, mantissa, shift))

    def add(self, a: Array, b: Array) -> Array:
        return saturated(a.astype(np.int64) + b)

    def sigmoid(self, x: Array) -> Array:
        return sigmoid16(x)

    def tanh(self, x: Array) -> Array:
        return tanh16(x)

    def keep(self, forget: Array, cell: Array) -> Array:
        return saturated(self._product(forget, cell, self.cell_scales()[0]))

    def admit(self, gate: Array, candidate: Array) -> Array:
        return saturated(self._product(gate, candidate, self.cell_scales()[1]))

    def clip(self, cell: Array) -> Array:
        return np.clip(cell, *self.cell_bounds())

    def emit(self, cell: Array, gate: Array) -> Array:
        tensor = self.call.tensor(HIDDEN)
        product = self._product(tanh16(cell, *self.squash_scale()), gate, self.cell_scales()[2])
        result: Array = np.clip(product + quant_of(tensor).zero_point[0], *limits(tensor.dtype))
        return result

    def _product(self, a: Array, b: Array, scale: float) -> Array:
        return multiply_by_quantized_multiplier(a.astype(np.int64) * b, *quantize_multiplier(scale))


def saturated(x: Array) -> Array:
    """Values in the range of int16."""
    return np.clip(x, -(1 << 15), (1 << 15) - 1).astype(np.int16)
