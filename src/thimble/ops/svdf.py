# SPDX-License-Identifier: Apache-2.0
"""SVDF: a fully connected layer of low rank over a sliding window in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation, Attrs, Shape, Tensor, require
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class Svdf(Attrs):
    """Operands: `[batch,C]`, feature weights `[units*rank,C]`, time weights `[units*rank,steps]`, bias, state."""

    OP: ClassVar[str] = "SVDF"
    OPTIONS: ClassVar[str] = "SVDFOptions"
    rank: int = 0
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: bool = False

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, feature = operand(inputs, 0, "input").shape, operand(inputs, 1, "feature weights").shape
        time = operand(inputs, 2, "time weights").shape
        require(len(x) == len(feature) == len(time) == 2, "input, feature and time weights must have two dimensions")
        require(x[1] == feature[1], f"{x[1]} input channels, the feature weights are for {feature[1]}")
        require(feature[0] == time[0], f"{feature[0]} feature filters must equal {time[0]} time filters")
        fits = self.rank > 0 and feature[0] % self.rank == 0
        require(fits, f"{feature[0]} filters do not divide into units of rank {self.rank}")
        return ((x[0], feature[0] // self.rank),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        per_row = operand(inputs, 1, "feature weights").elements + operand(inputs, 2, "time weights").elements
        return operand(inputs, 0, "input").shape[0] * per_row
