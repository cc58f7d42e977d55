# SPDX-License-Identifier: Apache-2.0
"""Convolution2DTransposeBias: MediaPipe's TRANSPOSE_CONV of floats, `[N,H,W,C]` with filters `[O,KH,KW,C]`, bias `[O]`.

Its options are three int32: padding (1 SAME, 2 VALID) and the strides across and down. The output is the smallest
that TRANSPOSE_CONV could give.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import TypeVar

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Array, Call, Custom, DType, Padding, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.shapes import operand
from thimble.ops.transpose_conv import TransposeConv

_T = TypeVar("_T")
_OPTIONS = "<3i"
_PADDINGS = {1: Padding.SAME, 2: Padding.VALID}
_FLOATS = (DType.FLOAT32,) * 3


@dataclass(frozen=True, slots=True)
class Convolution2DTransposeBias(Custom):
    """Operands: data, filters, bias."""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, filters = operand(inputs, 0, "input").shape, operand(inputs, 1, "filters").shape
        require(len(x) == 4 and len(filters) == 4, "input and filters must have four dimensions")
        require(x[3] == filters[3], f"{x[3]} input channels, the filters are for {filters[3]}")
        try:
            plain = self._plain()
        except UnsupportedOperatorError:
            return None  # such a model can still be mapped
        rows = _extent(x[1], filters[1], plain.stride_h, plain.padding)
        columns = _extent(x[2], filters[2], plain.stride_w, plain.padding)
        return ((x[0], rows, columns, filters[0]),)

    def macs(self, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> int:
        return operand(inputs, 0, "input").elements * math.prod(operand(inputs, 1, "filters").shape[:3])

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """As TRANSPOSE_CONV."""
        if site.types() != _FLOATS:
            raise site.unsupported("operands must be float32: data, filters and bias")
        return self._plain().lower(replace(site, inputs=_reordered(site.inputs)))

    def reference(self, call: Call) -> tuple[Array, ...]:
        """As TRANSPOSE_CONV.

        Source: mediapipe/util/tflite/operations/transpose_conv_bias.cc.
        """
        if tuple(None if t is None else t.dtype for t in call.inputs) != _FLOATS:
            raise UnsupportedOperatorError(f"{self.code}: there is no reference for other types than float32")
        values, inputs = _reordered(call.values), _reordered(call.inputs)
        return self._plain().reference(replace(call, values=values, inputs=inputs))

    def _plain(self) -> TransposeConv:
        """The builtin operator that computes the same.

        Raises:
            UnsupportedOperatorError: the options are damaged.
        """
        if len(self.options) < struct.calcsize(_OPTIONS):
            raise UnsupportedOperatorError(f"{self.code}: {len(self.options)} bytes of options, 12 are required")
        padding, across, down = struct.unpack_from(_OPTIONS, self.options)
        if padding not in _PADDINGS or min(across, down) < 1:
            raise UnsupportedOperatorError(f"{self.code}: padding {padding} and strides {across} and {down}")
        return TransposeConv(_PADDINGS[padding], across, down)


def _extent(size: int, kernel: int, stride: int, padding: Padding) -> int:
    cropped = max(kernel - (size - 1) % stride - 1, 0) if padding is Padding.SAME else 0
    return stride * (size - 1) + kernel - cropped


def _reordered(operands: tuple[_T, ...]) -> tuple[_T | None, ...]:
    """Operands as TRANSPOSE_CONV has them, whose first one, the output's shape, is not read."""
    x, filters, bias = operands
    return None, filters, x, bias
