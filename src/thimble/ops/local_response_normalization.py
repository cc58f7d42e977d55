# SPDX-License-Identifier: Apache-2.0
"""LOCAL_RESPONSE_NORMALIZATION: division by a power of the neighbouring channels' energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class LocalResponseNormalization(Unary):
    OP: ClassVar[str] = "LOCAL_RESPONSE_NORMALIZATION"
    OPTIONS: ClassVar[str] = "LocalResponseNormalizationOptions"
    radius: int = 0
    bias: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
