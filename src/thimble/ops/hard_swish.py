# SPDX-License-Identifier: Apache-2.0
"""HARD_SWISH: `x * relu6(x + 3) / 6`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class HardSwish(Unary):
    OP: ClassVar[str] = "HARD_SWISH"
    OPTIONS: ClassVar[str] = "HardSwishOptions"
