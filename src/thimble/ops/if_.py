# SPDX-License-Identifier: Apache-2.0
"""IF: runs one of two graphs, by the boolean operand 0, on the operands after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import run_graph, shaped


@dataclass(frozen=True, slots=True)
class If(Attrs):
    OP: ClassVar[str] = "IF"
    OPTIONS: ClassVar[str] = "IfOptions"
    then_subgraph_index: int = 0
    else_subgraph_index: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # the graphs decide, and their outputs may differ

    def subgraphs(self) -> tuple[int, ...]:
        return (self.then_subgraph_index, self.else_subgraph_index)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Refuse: the arena is planned for one order of operators."""
        raise site.unsupported("control flow has no kernels; export the model without it")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Outputs of the graph that the condition picks.

        Source: tensorflow/lite/micro/kernels/if.cc.
        """
        branch = self.then_subgraph_index if call.value(0).item() else self.else_subgraph_index
        operands = tuple(call.value(i) for i in range(1, len(call.values)))
        return shaped(call, run_graph(call, branch, operands))
