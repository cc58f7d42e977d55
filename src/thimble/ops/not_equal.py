# SPDX-License-Identifier: Apache-2.0
"""NOT_EQUAL: elementwise `left != right` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class NotEqual(Binary):
    OP: ClassVar[str] = "NOT_EQUAL"
    OPTIONS: ClassVar[str] = "NotEqualOptions"
