# SPDX-License-Identifier: Apache-2.0
"""LOGICAL_AND: elementwise conjunction of booleans with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class LogicalAnd(Binary):
    OP: ClassVar[str] = "LOGICAL_AND"
    OPTIONS: ClassVar[str] = "LogicalAndOptions"
