# SPDX-License-Identifier: Apache-2.0
"""ROUND: each element rounded to the nearest integer, halves to even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Round(Unary):
    OP: ClassVar[str] = "ROUND"
