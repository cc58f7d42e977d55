# SPDX-License-Identifier: Apache-2.0
"""VAR_HANDLE: scalar handle of the variable with the given name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor


@dataclass(frozen=True, slots=True)
class VarHandle(Attrs):
    OP: ClassVar[str] = "VAR_HANDLE"
    OPTIONS: ClassVar[str] = "VarHandleOptions"
    container: str = ""
    shared_name: str = ""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # the handle is a scalar in most files, a vector of one in some
