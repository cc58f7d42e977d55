# SPDX-License-Identifier: Apache-2.0
"""POW: elementwise power with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Pow(Binary):
    OP: ClassVar[str] = "POW"
    OPTIONS: ClassVar[str] = "PowOptions"
