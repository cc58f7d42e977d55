# SPDX-License-Identifier: Apache-2.0
"""PRELU: `x` where positive, else `alpha * x`, with a learned `alpha` that broadcasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Prelu(Binary):
    OP: ClassVar[str] = "PRELU"
