# SPDX-License-Identifier: Apache-2.0
"""UNIDIRECTIONAL_SEQUENCE_LSTM: a whole LSTM layer over `[batch,time,C]`, or `[time,batch,C]` if time-major."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


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
