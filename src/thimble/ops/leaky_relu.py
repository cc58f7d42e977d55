# SPDX-License-Identifier: Apache-2.0
"""LEAKY_RELU: `x` where positive, else `alpha * x`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class LeakyRelu(Unary):
    OP: ClassVar[str] = "LEAKY_RELU"
    OPTIONS: ClassVar[str] = "LeakyReluOptions"
    alpha: float = 0.0
