# SPDX-License-Identifier: Apache-2.0
"""GELU: Gaussian error linear unit, exact or by the tanh approximation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Gelu(Unary):
    OP: ClassVar[str] = "GELU"
    OPTIONS: ClassVar[str] = "GeluOptions"
    approximate: bool = False
