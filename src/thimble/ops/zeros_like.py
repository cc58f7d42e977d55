# SPDX-License-Identifier: Apache-2.0
"""ZEROS_LIKE: zeros in the shape and type of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class ZerosLike(Unary):
    OP: ClassVar[str] = "ZEROS_LIKE"
    OPTIONS: ClassVar[str] = "ZerosLikeOptions"
