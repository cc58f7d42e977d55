# SPDX-License-Identifier: Apache-2.0
"""SVDF: a fully connected layer of low rank over a sliding window in time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, Attrs, DType, Kind, Shape, Tensor, require
from thimble.kernel import Fields, KernelCall, Site, whole
from thimble.ops.convolution import check_types, product_scale, requantized, with_bias
from thimble.ops.numerics import BOUNDS, Array, Call, activate, quant_of
from thimble.ops.shapes import operand
from thimble.ops.svdf_s8 import lower_svdf_s8
from thimble.ops.weighted_wide import operands, refused_without_reference

_TYPES = (
    (DType.FLOAT32, DType.FLOAT32, DType.FLOAT32, DType.FLOAT32),
    (DType.INT8, DType.INT8, DType.INT8, DType.INT8),
    (DType.INT8, DType.INT8, DType.INT16, DType.INT16),
)


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

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `svdf.h`, or on int8 those of `svdf_s8.py`. The state must be a variable."""
        with refused_without_reference(site) as call:
            check_types(self.OP, call, _TYPES, 0, 1, 2, 4)
        x, memory = site.tensor(0), site.tensor(4)
        if memory.kind is not Kind.VARIABLE:
            raise site.unsupported("its state is no variable")
        if x.dtype is DType.INT8:
            return (lower_svdf_s8(site, self._shape(site)),)
        reads, constants = operands(site, 1, 2, 3)
        fields: Fields = (("shape", self._shape(site)), *self._floats())
        reads, writes = (*whole(x, memory), *reads), whole(site.outputs[0], memory)
        return (KernelCall("svdf_f32", "svdf.h", reads, writes, constants, "svdf_f32", fields),)

    def _shape(self, site: Site) -> Fields:
        feature, time = site.tensor(1).shape, site.tensor(2).shape
        return (
            ("batches", site.tensor(0).shape[0]),
            ("depth", feature[1]),
            ("units", feature[0] // self.rank),
            ("rank", self.rank),
            ("steps", time[1]),
            ("biased", int(site.optional(3) is not None)),
        )

    def _floats(self) -> Fields:
        low, high = BOUNDS.get(self.fused_activation_function, (None, None))
        return (
            ("tanh", int(self.fused_activation_function is Activation.TANH)),
            ("sign", int(self.fused_activation_function is Activation.SIGN_BIT)),
            ("low", -math.inf if low is None else low),
            ("high", math.inf if high is None else high),
        )

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The state `[batch,units*rank*steps]` moves on by a step, in place; integers have no activation.

        Source: EvalIntegerSvdfReference and EvalFloatSvdfReference, tensorflow/lite/micro/kernels/svdf_common.cc.
        """
        check_types(self.OP, call, _TYPES, 0, 1, 2, 4)
        x, feature, time, memory = (call.tensor(place) for place in (0, 1, 2, 4))
        state = call.value(4).reshape(x.shape[0], *time.shape)
        state[:, :, :-1] = state[:, :, 1:].copy()
        zero = quant_of(x).zero_point[0] if x.dtype is DType.INT8 else 0
        newest = (call.value(0).astype(np.float64) - zero) @ call.value(1).astype(np.float64).T
        rest = quant_of(memory).zero_point[0] if x.dtype is DType.INT8 else 0
        if x.dtype is DType.INT8:
            flat = replace(memory, quant=None)  # the zero point is added after clamping, and wraps
            newest = requantized(newest, [product_scale(x, feature, memory)], flat).astype(np.int64) + rest
        state[:, :, -1] = newest.astype(state.dtype)
        filtered = ((state.astype(np.float64) - rest) * call.value(2)).sum(axis=2)
        sums = with_bias(filtered.reshape(x.shape[0], -1, self.rank).sum(axis=2), call, 3)
        if x.dtype is DType.FLOAT32:
            return (activate(sums.astype(np.float32), self.fused_activation_function),)
        return (requantized(sums, [product_scale(memory, time, call.outputs[0])], call.outputs[0]),)
