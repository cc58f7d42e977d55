# SPDX-License-Identifier: Apache-2.0
"""FLOOR_DIV: elementwise quotient rounded down, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class FloorDiv(Binary):
    OP: ClassVar[str] = "FLOOR_DIV"
    OPTIONS: ClassVar[str] = "FloorDivOptions"
