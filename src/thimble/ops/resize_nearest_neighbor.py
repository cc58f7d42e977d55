# SPDX-License-Identifier: Apache-2.0
"""RESIZE_NEAREST_NEIGHBOR: `[N,H,W,C]` to the rows and columns of operand 1, each the nearest input's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.lowering import image, packed
from thimble.ops.movement import MEDIUM, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.resize import Resize


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Resize):
    OP: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"
    OPTIONS: ClassVar[str] = "ResizeNearestNeighborOptions"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `resize_nearest_neighbor.h`."""
        x, output = site.tensor(0), site.outputs[0]
        if x.dtype not in MEDIUM or output.dtype is not x.dtype:
            names = ", ".join(dtype.label for dtype in MEDIUM)
            raise site.unsupported(f"{x.dtype.label} giving {output.dtype.label}; {names} giving the same type can be")
        if max(x.shape[1:3]) > 1 << 15:
            raise site.unsupported(f"an image of {x.shape[1]} x {x.shape[2]}, more than 32768 rows or columns")
        (_, height, width, channels), (rows, cols) = x.shape, output.shape[1:3]
        pixel = channels * x.dtype.bits // 8
        fields = (("in", image((height, width, pixel))), ("out", image((rows, cols, pixel))))
        places = np.concatenate([self._nearest(height, rows), self._nearest(width, cols)])
        table, name = (packed("rows and columns", DType.INT16, places),), "resize_nearest_neighbor"
        call = KernelCall(
            name, f"{name}.h", whole(x), whole(output), table, name, fields, rows=rows, batch=output.shape[0]
        )
        return (call,) if output.nbytes else ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The nearest row and column, found in single precision.

        Source: ResizeNearestNeighbor, tensorflow/lite/kernels/internal/reference/resize_nearest_neighbor.h.
        """
        x, (rows, cols) = moved(call, self.OP, MEDIUM), call.outputs[0].shape[1:3]
        return shaped(call, x.take(self._nearest(x.shape[1], rows), 1).take(self._nearest(x.shape[2], cols), 2))

    def _nearest(self, size: int, wanted: int) -> Array:
        aligned = self.align_corners and wanted > 1
        scale = np.float32(size - 1) / np.float32(wanted - 1) if aligned else np.float32(size) / np.float32(wanted)
        place = (np.arange(wanted, dtype=np.float32) + np.float32(0.5 if self.half_pixel_centers else 0.0)) * scale
        nearest = np.floor(place.astype(np.float64) + (0.5 if self.align_corners else 0.0)).astype(np.int64)
        inside: Array = np.clip(nearest, 0, size - 1)
        return inside
