# SPDX-License-Identifier: Apache-2.0
"""LOGICAL_NOT: negation of booleans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class LogicalNot(Unary):
    OP: ClassVar[str] = "LOGICAL_NOT"
    OPTIONS: ClassVar[str] = "LogicalNotOptions"
