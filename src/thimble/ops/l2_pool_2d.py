# SPDX-License-Identifier: Apache-2.0
"""L2_POOL_2D: root mean square over a window of `[N,H,W,C]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.pooling import Pool2D


@dataclass(frozen=True, slots=True)
class L2Pool2D(Pool2D):
    OP: ClassVar[str] = "L2_POOL_2D"
