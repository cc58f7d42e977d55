# SPDX-License-Identifier: Apache-2.0
"""LOG_SOFTMAX: logarithm of the softmax along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class LogSoftmax(Unary):
    OP: ClassVar[str] = "LOG_SOFTMAX"
    OPTIONS: ClassVar[str] = "LogSoftmaxOptions"
