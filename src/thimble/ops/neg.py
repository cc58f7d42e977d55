# SPDX-License-Identifier: Apache-2.0
"""NEG: each element with its sign changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Neg(Unary):
    OP: ClassVar[str] = "NEG"
    OPTIONS: ClassVar[str] = "NegOptions"
