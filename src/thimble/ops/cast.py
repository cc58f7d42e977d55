# SPDX-License-Identifier: Apache-2.0
"""CAST: each element in another type; the tensors' own types decide, as files often omit the attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import DType
from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class Cast(Unary):
    OP: ClassVar[str] = "CAST"
    OPTIONS: ClassVar[str] = "CastOptions"
    in_data_type: DType = DType.FLOAT32
    out_data_type: DType = DType.FLOAT32
