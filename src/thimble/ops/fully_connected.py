# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED: vectors of `[...,C]` times weights `[units,C]`, plus an optional bias `[units]`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, DType, Shape, Tensor, require
from thimble.ops.shapes import operand


class WeightsFormat(enum.Enum):
    """Order of the weights; values follow the schema's FullyConnectedOptionsWeightsFormat."""

    DEFAULT = 0
    SHUFFLED4X16INT8 = 1


@dataclass(frozen=True, slots=True)
class FullyConnected(Attrs):
    """Without `keep_num_dims` the output is `[batch,units]`, where the batch is what the elements amount to."""

    OP: ClassVar[str] = "FULLY_CONNECTED"
    OPTIONS: ClassVar[str] = "FullyConnectedOptions"
    fused_activation_function: Activation = Activation.NONE
    weights_format: WeightsFormat = WeightsFormat.DEFAULT
    keep_num_dims: bool = False
    asymmetric_quantize_inputs: bool = False
    quantized_bias_type: DType = DType.FLOAT32

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, weights = operand(inputs, 0, "input"), operand(inputs, 1, "weights").shape
        require(len(weights) == 2, f"the weights have {len(weights)} dimensions, 2 are required")
        units, depth = weights
        if self.keep_num_dims:
            fits = x.shape[-1:] == (depth,)
            require(fits, f"the input's last extent must be {depth}, its shape is {list(x.shape)}")
            return ((*x.shape[:-1], units),)
        fits = depth > 0 and x.elements % depth == 0
        require(fits, f"{x.elements} input elements do not divide into vectors of {depth}")
        return ((x.elements // depth, units),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return outputs[0].elements * operand(inputs, 1, "weights").shape[-1]
