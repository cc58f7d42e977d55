# SPDX-License-Identifier: Apache-2.0
"""MEAN: mean along the axes of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.reduction import Reducer


@dataclass(frozen=True, slots=True)
class Mean(Reducer):
    OP: ClassVar[str] = "MEAN"
