# SPDX-License-Identifier: Apache-2.0
"""AVERAGE_POOL_2D: mean over a window of `[N,H,W,C]`; cells outside the input do not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.pooling import Pool2D


@dataclass(frozen=True, slots=True)
class AveragePool2D(Pool2D):
    OP: ClassVar[str] = "AVERAGE_POOL_2D"
