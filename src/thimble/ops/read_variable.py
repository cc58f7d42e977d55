# SPDX-License-Identifier: Apache-2.0
"""READ_VARIABLE: value of the variable whose handle is operand 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor


@dataclass(frozen=True, slots=True)
class ReadVariable(Attrs):
    OP: ClassVar[str] = "READ_VARIABLE"
    OPTIONS: ClassVar[str] = "ReadVariableOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # a handle does not tell what was assigned to it
