# SPDX-License-Identifier: Apache-2.0
"""LOGICAL_OR: elementwise disjunction of booleans with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class LogicalOr(Binary):
    OP: ClassVar[str] = "LOGICAL_OR"
    OPTIONS: ClassVar[str] = "LogicalOrOptions"
