# SPDX-License-Identifier: Apache-2.0
"""SQUARED_DIFFERENCE: elementwise `(left - right) ** 2` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class SquaredDifference(Binary):
    OP: ClassVar[str] = "SQUARED_DIFFERENCE"
    OPTIONS: ClassVar[str] = "SquaredDifferenceOptions"
