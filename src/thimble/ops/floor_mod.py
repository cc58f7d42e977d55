# SPDX-License-Identifier: Apache-2.0
"""FLOOR_MOD: elementwise remainder with the divisor's sign, with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class FloorMod(Binary):
    OP: ClassVar[str] = "FLOOR_MOD"
    OPTIONS: ClassVar[str] = "FloorModOptions"
