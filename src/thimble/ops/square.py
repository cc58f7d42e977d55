# SPDX-License-Identifier: Apache-2.0
"""SQUARE: square of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Square(Unary):
    OP: ClassVar[str] = "SQUARE"
    OPTIONS: ClassVar[str] = "SquareOptions"
