# SPDX-License-Identifier: Apache-2.0
"""Shape rule and windows of the operators that slide a window over rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import ClassVar

import numpy as np

from thimble.ir import OURS, Activation, Attrs, DType, Padding, Rows, Shape, Sliding, Tensor, require
from thimble.kernel import Fields, Flavour, KernelCall, Site, whole
from thimble.ops import cmsis_nn
from thimble.ops.convolution import margin, taps
from thimble.ops.legacy import is_legacy
from thimble.ops.lowering import image
from thimble.ops.numerics import BOUNDS, Array, activation_range, limits
from thimble.ops.rows import sliding, window_rows
from thimble.ops.shapes import Along, along, operand, window
from thimble.ops.weighted import Window

POOLED = ((DType.FLOAT32,), (DType.INT8,), (DType.INT16,), (DType.UINT8,))
"""Types that have a reference; uint8 is LiteRT's, the others are TFLM's."""

SUFFIXES = {DType.FLOAT32: "f32", DType.INT8: "s8", DType.INT16: "s16", DType.UINT8: "u8"}
"""Ends of the names of kernels, by the type that they are for."""

MOST_CELLS = 256
"""Cells of a window up to which the kernels' reciprocal of their number is exact enough for 8-bit elements."""


@dataclass(frozen=True, slots=True)
class Pool2D(Attrs):
    """`[N,H,W,C]` to `[N,H',W',C]`."""

    OPTIONS: ClassVar[str] = "Pool2DOptions"
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    filter_width: int = 1
    filter_height: int = 1
    fused_activation_function: Activation = Activation.NONE
    margins: tuple[int, ...] = field(default=(), metadata=OURS)  # (top, bottom, left, right) in place of `padding`

    def along(self, axis: int) -> Along:
        """Padding of rows (0) or columns (1)."""
        return along(axis, self.padding, self.margins)

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x = operand(inputs, 0, "input").shape
        require(len(x) == 4, f"the input has {len(x)} dimensions, 4 are required")
        rows = window(x[1], self.filter_height, self.stride_h, self.along(0))
        cols = window(x[2], self.filter_width, self.stride_w, self.along(1))
        return ((x[0], rows, cols, x[3]),)

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        return window_rows(self, inputs, output)

    def sliding(self, inputs: tuple[Tensor | None, ...]) -> Sliding | None:
        kernel, stride = (self.filter_height, self.filter_width), (self.stride_h, self.stride_w)
        return sliding(operand(inputs, 0, "input"), kernel, stride, (self.along(0), self.along(1)))

    def cells(self, x: Array, fill: float = 0) -> Iterator[Array]:
        """For each tap of the window the cells `[N,H',W',C]` under it, `fill` outside the input."""
        kernel, stride = (self.filter_height, self.filter_width), (self.stride_h, self.stride_w)
        return (cells for _, cells in taps(x, kernel, stride, self.padding, margins=self.margins, fill=fill))

    def summed(self, x: Array) -> Array:
        """Sums `[N,H',W',C]` over the window."""
        return np.asarray(reduce(np.add, self.cells(x)))

    def calls(self, site: Site, kernel: str, types: tuple[DType, ...]) -> tuple[KernelCall, ...]:
        """Calls of `thimble_<kernel>_<type>`, one per batch. Kernels: `pool_2d.h`, `pool_2d_dsp.h`, `pool_2d_f32.h`.

        Raises:
            UnsupportedOperatorError: a type that is none of `types`, or so large a window that sums overflow.
        """
        x, output = site.tensor(0), site.outputs[0]
        if x.dtype not in types or output.dtype is not x.dtype:
            names = ", ".join(dtype.label for dtype in types)
            raise site.unsupported(f"{x.dtype.label} giving {output.dtype.label}; {names} giving the same type can be")
        over = Window(
            (self.filter_height, self.filter_width),
            (self.stride_h, self.stride_w),
            padding=self.padding,
            margins=self.margins,
        )
        theirs = cmsis_nn.pooled(site, kernel, over, self.fused_activation_function)
        if theirs is not None:
            return theirs
        name = f"{kernel}_{SUFFIXES[x.dtype]}"
        struct = "pool_2d_f32" if x.dtype is DType.FLOAT32 else "pool_2d"
        packed = name == "max_pool_2d_s8" and site.flavour in (Flavour.DSP, Flavour.MVE) and x.shape[3] % 4 == 0
        name, header = (f"{name}_dsp", "pool_2d_dsp.h") if packed else (name, f"{struct}.h")
        fields = (*self._window_fields(x.shape, output.shape), *self._value_fields(site, x, output))
        same = ((0, 0),) if (self.filter_height, self.filter_width, self.stride_h, self.stride_w) == (1,) * 4 else ()
        batch, rows = output.shape[:2]
        call = KernelCall(
            name, header, whole(x), whole(output), (), struct, fields, rows=rows, in_place=same, batch=batch
        )
        return (call,) if output.nbytes else ()

    def _window_fields(self, x: Shape, output: Shape) -> Fields:
        return (
            ("in", image(x)),
            ("out", image(output)),
            ("kernel_h", self.filter_height),
            ("kernel_w", self.filter_width),
            ("stride_h", self.stride_h),
            ("stride_w", self.stride_w),
            ("pad_top", margin(x[1], self.filter_height, self.stride_h, self.along(0))),
            ("pad_left", margin(x[2], self.filter_width, self.stride_w, self.along(1))),
        )

    def _value_fields(self, site: Site, x: Tensor, output: Tensor) -> Fields:
        """Bounds of the results; for integers also how averages are divided."""
        if x.dtype is DType.FLOAT32:
            low, high = BOUNDS.get(self.fused_activation_function, (None, None))
            most = float(np.finfo(np.float32).max)
            return (("low", -most if low is None else low), ("high", most if high is None else high))
        cells = min(self.filter_height, x.shape[1]) * min(self.filter_width, x.shape[2])
        if cells * (limits(x.dtype)[1] + 1) >= 1 << 31:
            raise site.unsupported(f"a window of {cells} cells, whose sum is too large for 32 bits")
        bounds = activation_range(self.fused_activation_function, output)
        divides = x.dtype is DType.INT16 or cells > MOST_CELLS
        return (("divides", int(divides)), ("up", int(is_legacy(x))), ("low", bounds[0]), ("high", bounds[1]))
