# SPDX-License-Identifier: Apache-2.0
"""ABS: magnitude of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Abs(Unary):
    OP: ClassVar[str] = "ABS"
    OPTIONS: ClassVar[str] = "AbsOptions"
