# SPDX-License-Identifier: Apache-2.0
"""RELU_N1_TO_1: `min(max(x, -1), 1)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class ReluN1To1(Unary):
    OP: ClassVar[str] = "RELU_N1_TO_1"
