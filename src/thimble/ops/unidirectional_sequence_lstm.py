# SPDX-License-Identifier: Apache-2.0
"""UNIDIRECTIONAL_SEQUENCE_LSTM: a whole LSTM layer over `[batch,time,C]`, or `[time,batch,C]` if time-major."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, Attrs, DType, Kind, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.lstm import CELL, HIDDEN, Floats, Integers, run
from thimble.ops.lstm_lowering import lower_lstm
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.shapes import operand
from thimble.ops.weighted_wide import refused_without_reference

_F32, _I8, _I16 = DType.FLOAT32, DType.INT8, DType.INT16
_KERNELS = {(_F32, _F32, _F32, _F32), (_I8, _I8, DType.INT32, _I16), (_I16, _I8, DType.INT64, _I16)}
_REQUIRED = (*range(9), *range(12, 16), HIDDEN, CELL)


@dataclass(frozen=True, slots=True)
class UnidirectionalSequenceLSTM(Attrs):
    """The output is `[batch,time,units]`, or time-major as the input is.

    Operands 1-4 are the input weights `[cells,C]` of the input, forget, cell and output gate, 5-8 their
    recurrent weights `[cells,units]`, 9-11 the peepholes, 12-15 the biases, 16 and 17 the projection,
    18 and 19 the state, 20-23 the layer normalization. The input gate's and 9-17 and 20-23 may be missing.
    """

    OP: ClassVar[str] = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    OPTIONS: ClassVar[str] = "UnidirectionalSequenceLSTMOptions"
    fused_activation_function: Activation = Activation.NONE
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    time_major: bool = False
    asymmetric_quantize_inputs: bool = False
    diagonal_recurrent_tensors: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, weights = operand(inputs, 0, "input").shape, operand(inputs, 4, "input weights of the output gate").shape
        recurrent = operand(inputs, 8, "recurrent weights of the output gate").shape
        require(len(x) == 3, f"the input has {len(x)} dimensions, 3 are required")
        require(len(weights) == 2, f"the input weights have {len(weights)} dimensions, 2 are required")
        require(x[2] == weights[1], f"{x[2]} input channels, the weights are for {weights[1]}")
        rank = 1 if self.diagonal_recurrent_tensors else 2
        require(len(recurrent) == rank, f"the recurrent weights have {len(recurrent)} dimensions, {rank} are required")
        require(recurrent[0] == weights[0], f"{weights[0]} cells, the recurrent weights are for {recurrent[0]}")
        return ((x[0], x[1], recurrent[-1]),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        batch, time = operand(inputs, 0, "input").shape[:2]
        multiplied = (*inputs[1:12], *inputs[16:17])
        return batch * time * sum(t.elements for t in multiplied if t is not None)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `lstm.h`. Weights and biases must be constants, the states variables."""
        with refused_without_reference(site) as call:
            self._check(call)
        return lower_lstm(site, self.cell_clip, self.time_major)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Run all time steps; the state operands' arrays are updated in place.

        Raises:
            UnsupportedOperatorError: types, or a variant of the LSTM, that TFLM has no kernel for.

        Source: tensorflow/lite/micro/kernels/unidirectional_sequence_lstm.cc.
        """
        self._check(call)
        numbers: type[Floats] | type[Integers] = Floats if call.tensor(0).dtype is _F32 else Integers
        return (run(call, numbers(call, self.cell_clip), self.time_major),)

    def _check(self, call: Call) -> None:
        """Refuse what TFLM refuses: see LstmTensors::ValidateTensorStatus in lstm_eval.cc."""
        present = {i for i, t in enumerate(call.inputs) if t is not None}
        if present != set(_REQUIRED) or self.diagonal_recurrent_tensors:
            raise UnsupportedOperatorError(f"{self.OP}: only the plain LSTM has a reference, not its variants")
        types = tuple(call.tensor(i).dtype for i in (0, 1, 12, CELL))
        same = all(call.tensor(i).dtype is types[1] for i in range(1, 9))
        same = same and all(call.tensor(i).dtype is types[2] for i in range(12, 16))
        if types not in _KERNELS or not same or call.tensor(HIDDEN).dtype is not types[0]:
            named = ", ".join(call.tensor(i).dtype.label for i in _REQUIRED)
            raise UnsupportedOperatorError(f"{self.OP}: there is no reference for operands of types {named}")
        if any(call.tensor(i).kind is not Kind.VARIABLE for i in (HIDDEN, CELL)):
            raise UnsupportedOperatorError(f"{self.OP}: its state is no variable")
        if any(quant_of(call.tensor(i)).per_channel for i in range(1, 9)):
            raise UnsupportedOperatorError(f"{self.OP}: there is no reference for weights of several scales")
        if self.fused_activation_function is not Activation.TANH:
            function = self.fused_activation_function.name
            raise UnsupportedOperatorError(f"{self.OP}: there is no reference for a cell gate with {function}")
