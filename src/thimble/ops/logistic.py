# SPDX-License-Identifier: Apache-2.0
"""LOGISTIC: sigmoid of each element, `1 / (1 + exp(-x))`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Logistic(Unary):
    OP: ClassVar[str] = "LOGISTIC"
