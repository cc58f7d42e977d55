# SPDX-License-Identifier: Apache-2.0
"""SOFTMAX: `exp(beta * x)` along the last axis, divided by its sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Softmax(Unary):
    OP: ClassVar[str] = "SOFTMAX"
    OPTIONS: ClassVar[str] = "SoftmaxOptions"
    beta: float = 0.0
