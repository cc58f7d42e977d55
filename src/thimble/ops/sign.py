# SPDX-License-Identifier: Apache-2.0
"""SIGN: -1, 0 or 1 by the sign of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Sign(Unary):
    OP: ClassVar[str] = "SIGN"
    OPTIONS: ClassVar[str] = "SignOptions"
