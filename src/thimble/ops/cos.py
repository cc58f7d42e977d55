# SPDX-License-Identifier: Apache-2.0
"""COS: cosine of each element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Cos(Unary):
    OP: ClassVar[str] = "COS"
    OPTIONS: ClassVar[str] = "CosOptions"
