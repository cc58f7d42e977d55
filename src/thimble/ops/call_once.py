# SPDX-License-Identifier: Apache-2.0
"""CALL_ONCE: runs another graph, before the first inference only; no operands and no outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor


@dataclass(frozen=True, slots=True)
class CallOnce(Attrs):
    OP: ClassVar[str] = "CALL_ONCE"
    OPTIONS: ClassVar[str] = "CallOnceOptions"
    init_subgraph_index: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ()

    def subgraphs(self) -> tuple[int, ...]:
        return (self.init_subgraph_index,)
