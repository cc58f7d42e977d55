# SPDX-License-Identifier: Apache-2.0
"""RELU6: `min(max(x, 0), 6)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Relu6(Unary):
    OP: ClassVar[str] = "RELU6"
