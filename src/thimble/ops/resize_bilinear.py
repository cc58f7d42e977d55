# SPDX-License-Identifier: Apache-2.0
"""RESIZE_BILINEAR: `[N,H,W,C]` interpolated linearly to the rows and columns of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.resize import Resize


@dataclass(frozen=True, slots=True)
class ResizeBilinear(Resize):
    OP: ClassVar[str] = "RESIZE_BILINEAR"
    OPTIONS: ClassVar[str] = "ResizeBilinearOptions"
