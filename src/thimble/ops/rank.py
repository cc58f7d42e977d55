# SPDX-License-Identifier: Apache-2.0
"""RANK: how many axes the input has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor


@dataclass(frozen=True, slots=True)
class Rank(Attrs):
    OP: ClassVar[str] = "RANK"
    OPTIONS: ClassVar[str] = "RankOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ((),)
