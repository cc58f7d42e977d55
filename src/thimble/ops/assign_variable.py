# SPDX-License-Identifier: Apache-2.0
"""ASSIGN_VARIABLE: stores operand 1 in the variable whose handle is operand 0; no output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor


@dataclass(frozen=True, slots=True)
class AssignVariable(Attrs):
    OP: ClassVar[str] = "ASSIGN_VARIABLE"
    OPTIONS: ClassVar[str] = "AssignVariableOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ()
