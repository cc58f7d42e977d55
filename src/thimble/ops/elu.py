# SPDX-License-Identifier: Apache-2.0
"""ELU: exponential linear unit, `x` where positive, else `exp(x) - 1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Elu(Unary):
    OP: ClassVar[str] = "ELU"
