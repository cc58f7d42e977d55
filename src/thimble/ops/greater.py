# SPDX-License-Identifier: Apache-2.0
"""GREATER: elementwise `left > right` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Greater(Binary):
    OP: ClassVar[str] = "GREATER"
    OPTIONS: ClassVar[str] = "GreaterOptions"
