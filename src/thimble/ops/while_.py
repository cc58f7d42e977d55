# SPDX-License-Identifier: Apache-2.0
"""WHILE: runs a graph on its own outputs as long as another graph answers true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import run_graph, shaped


@dataclass(frozen=True, slots=True)
class While(Attrs):
    OP: ClassVar[str] = "WHILE"
    OPTIONS: ClassVar[str] = "WhileOptions"
    cond_subgraph_index: int = 0
    body_subgraph_index: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # the body decides, and may change its loop variables' shapes

    def subgraphs(self) -> tuple[int, ...]:
        return (self.cond_subgraph_index, self.body_subgraph_index)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Refuse: the arena is planned for one order of operators."""
        raise site.unsupported("control flow has no kernels; export the model without it")

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The operands after as many runs of the body as the condition asks for.

        Source: tensorflow/lite/micro/kernels/while.cc.
        """
        carried = tuple(call.value(i) for i in range(len(call.values)))
        while run_graph(call, self.cond_subgraph_index, carried)[0].item():
            carried = run_graph(call, self.body_subgraph_index, carried)
        return shaped(call, carried)
