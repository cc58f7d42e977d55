# SPDX-License-Identifier: Apache-2.0
"""LOG: natural logarithm of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Log(Unary):
    OP: ClassVar[str] = "LOG"
