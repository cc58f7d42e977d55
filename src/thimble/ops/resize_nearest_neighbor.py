# SPDX-License-Identifier: Apache-2.0
"""RESIZE_NEAREST_NEIGHBOR: `[N,H,W,C]` to the rows and columns of operand 1, each the nearest input's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.resize import Resize


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighbor(Resize):
    OP: ClassVar[str] = "RESIZE_NEAREST_NEIGHBOR"
    OPTIONS: ClassVar[str] = "ResizeNearestNeighborOptions"
