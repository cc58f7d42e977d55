# SPDX-License-Identifier: Apache-2.0
"""CEIL: each element rounded up to an integer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Ceil(Unary):
    OP: ClassVar[str] = "CEIL"
