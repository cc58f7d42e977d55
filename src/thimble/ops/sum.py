# SPDX-License-Identifier: Apache-2.0
"""SUM: sum along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.reduction import Reducer


@dataclass(frozen=True, slots=True)
class Sum(Reducer):
    OP: ClassVar[str] = "SUM"
