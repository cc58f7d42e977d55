# SPDX-License-Identifier: Apache-2.0
"""FLOOR: each element rounded down to an integer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Floor(Unary):
    OP: ClassVar[str] = "FLOOR"
