# SPDX-License-Identifier: Apache-2.0
"""RESIZE_BILINEAR: `[N,H,W,C]` interpolated linearly to the rows and columns of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import Fields, KernelCall, Site, whole
from thimble.ops.legacy import OFFSET, is_legacy
from thimble.ops.lowering import image
from thimble.ops.movement import NARROW, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.resize import Resize

Places = tuple[Array, Array, Array]
"""Per output row or column: the neighbours before and after it, and the distance from the first."""


@dataclass(frozen=True, slots=True)
class ResizeBilinear(Resize):
    OP: ClassVar[str] = "RESIZE_BILINEAR"
    OPTIONS: ClassVar[str] = "ResizeBilinearOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `resize_bilinear.h`."""
        x, output = site.tensor(0), site.outputs[0]
        if x.dtype not in NARROW or output.dtype is not x.dtype:
            raise site.unsupported(f"{x.dtype.label} giving {output.dtype.label}; float32, int8 and uint8 can be")
        dtype = DType.UINT8 if is_legacy(x) else x.dtype
        pairs = tuple(zip(x.shape[1:3], output.shape[1:3], strict=True))
        fields: Fields = (("in", image(x.shape)), ("out", image(output.shape)))
        if dtype is DType.INT8:
            (row, top), (column, left) = (self._fixed_scale(*pair) for pair in pairs)
            fields += (("row_scale", row), ("row_start", top), ("column_scale", column), ("column_start", left))
        else:
            row_scale, column_scale = (float(self._scale(*pair)) for pair in pairs)
            centre = 0.5 if self.half_pixel_centers else 0.0
            fields += (("row_scale", row_scale), ("column_scale", column_scale), ("centre", centre))
            fields += (("flip", OFFSET if x.dtype is DType.INT8 else 0),)
        kernel = {DType.INT8: "s8", DType.UINT8: "u8", DType.FLOAT32: "f32"}[dtype]
        struct = "resize_bilinear" + ("" if dtype is DType.INT8 else "_f32")
        name, (batch, rows) = f"resize_bilinear_{kernel}", output.shape[:2]
        header = "resize_bilinear.h"
        call = KernelCall(name, header, whole(x), whole(output), (), struct, fields, rows=rows, batch=batch)
        return (call,) if output.nbytes else ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Between four neighbours: float32 (and uint8) in single precision, int8 with weights of 10 bits.

        Source: ResizeBilinear and ResizeBilinearInteger, tensorflow/lite/kernels/internal/reference/resize_bilinear.h.
        """
        x, (rows, cols) = moved(call, self.OP, NARROW), call.outputs[0].shape[1:3]
        if x.dtype != np.int8:
            down, across = self._places(x.shape[1], rows), self._places(x.shape[2], cols)
            mean = between(x.astype(np.float32), down, across, np.float32(1))
            return shaped(call, mean if x.dtype == np.float32 else mean + np.float32(0.5))
        down, across = self._fixed_places(x.shape[1], rows), self._fixed_places(x.shape[2], cols)
        total = between(x.astype(np.int64), down, across, np.int64(1 << 10))
        nudged = total + np.where(total > 0, 1 << 19, -(1 << 19))
        return shaped(call, np.where(nudged >= 0, nudged >> 20, -(-nudged >> 20)))  # C divides towards zero

    def _scale(self, size: int, wanted: int) -> np.float32:
        """Input pixels per output pixel."""
        aligned = self.align_corners and wanted > 1
        span, steps = (size - 1, wanted - 1) if aligned else (size, wanted)
        scale: np.float32 = np.float32(span) / np.float32(steps)
        return scale

    def _places(self, size: int, wanted: int) -> Places:
        scale = self._scale(size, wanted)
        place = np.arange(wanted, dtype=np.float32)
        half = np.float32(0.5)
        place = (place + half) * scale - half if self.half_pixel_centers else place * scale
        low = np.maximum(np.floor(place).astype(np.int64), 0)
        high = np.minimum(np.ceil(place).astype(np.int64), size - 1)
        return low, high, place - low.astype(np.float32)

    def _fixed_scale(self, size: int, wanted: int) -> tuple[int, int]:
        """The same in whole 1024ths of a pixel, and where the first pixel is."""
        span, steps = (size - 1, wanted - 1) if self.align_corners and wanted > 1 else (size, wanted)
        scale = ((span << 10) + steps // 2) // steps
        return scale, (scale // 2 - (1 << 9) if self.half_pixel_centers else 0)

    def _fixed_places(self, size: int, wanted: int) -> Places:
        """Places in 1024ths of a pixel."""
        scale, start = self._fixed_scale(size, wanted)
        place = np.arange(wanted, dtype=np.int64) * scale + start
        low = np.maximum(place >> 10, 0)
        high = np.minimum((place + (1 << 10) - 1) >> 10, size - 1)
        return np.minimum(low, size - 1), high, place - (low << 10)


def between(x: Array, down: Places, across: Places, one: np.float32 | np.int64) -> Array:
    """Mean of four neighbours, weighted by the distances from the lower ones; `one` is the distance of two pixels."""
    (top, bottom, y), (left, right, x_part) = down, across
    y = y[:, None, None]
    x_part = x_part[:, None]
    upper, lower = x.take(top, 1), x.take(bottom, 1)
    near = upper.take(left, 2) * (one - y) * (one - x_part) + lower.take(left, 2) * y * (one - x_part)
    mean: Array = near + upper.take(right, 2) * (one - y) * x_part + lower.take(right, 2) * y * x_part
    return mean
