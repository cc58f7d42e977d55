# SPDX-License-Identifier: Apache-2.0
"""ARG_MAX: index of the largest element along the axis of operand 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.reduction import ArgReducer


@dataclass(frozen=True, slots=True)
class ArgMax(ArgReducer):
    OP: ClassVar[str] = "ARG_MAX"
    OPTIONS: ClassVar[str] = "ArgMaxOptions"
