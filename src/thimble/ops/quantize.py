# SPDX-License-Identifier: Apache-2.0
"""QUANTIZE: quantized values of real elements, or a change of scale, zero point or type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Quantize(Unary):
    OP: ClassVar[str] = "QUANTIZE"
    OPTIONS: ClassVar[str] = "QuantizeOptions"
