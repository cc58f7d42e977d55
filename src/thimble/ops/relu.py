# SPDX-License-Identifier: Apache-2.0
"""RELU: `max(x, 0)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Relu(Unary):
    OP: ClassVar[str] = "RELU"
