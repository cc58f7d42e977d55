# SPDX-License-Identifier: Apache-2.0
"""EQUAL: elementwise `left == right` with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Equal(Binary):
    OP: ClassVar[str] = "EQUAL"
    OPTIONS: ClassVar[str] = "EqualOptions"
