# SPDX-License-Identifier: Apache-2.0
"""RESIZE_NEAREST_NEIGHBOR: `[N,H,W,C]` to the rows and columns of operand 1, each the nearest input's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ops.movement import MEDIUM, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.resize import Resize


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Resize):
    OP: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"
    OPTIONS: ClassVar[str] = "ResizeNearestNeighborOptions"

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
