# SPDX-License-Identifier: Apache-2.0
"""TANH: hyperbolic tangent of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Tanh(Unary):
    OP: ClassVar[str] = "TANH"
