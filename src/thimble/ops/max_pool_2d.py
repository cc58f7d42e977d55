# SPDX-License-Identifier: Apache-2.0
"""MAX_POOL_2D: maximum over a window of `[N,H,W,C]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.pooling import Pool2D


@dataclass(frozen=True, slots=True)
class MaxPool2D(Pool2D):
    OP: ClassVar[str] = "MAX_POOL_2D"
