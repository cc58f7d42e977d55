# SPDX-License-Identifier: Apache-2.0
"""EXP: exponential of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Exp(Unary):
    OP: ClassVar[str] = "EXP"
    OPTIONS: ClassVar[str] = "ExpOptions"
