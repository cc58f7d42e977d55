# SPDX-License-Identifier: Apache-2.0
"""ARG_MIN: index of the smallest element along the axis of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.reduction import ArgReducer


@dataclass(frozen=True, slots=True)
class ArgMin(ArgReducer):
    OP: ClassVar[str] = "ARG_MIN"
    OPTIONS: ClassVar[str] = "ArgMinOptions"
