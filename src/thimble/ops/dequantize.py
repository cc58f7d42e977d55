# SPDX-License-Identifier: Apache-2.0
"""DEQUANTIZE: real values of quantized elements; the element types say between which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Dequantize(Unary):
    OP: ClassVar[str] = "DEQUANTIZE"
    OPTIONS: ClassVar[str] = "DequantizeOptions"
