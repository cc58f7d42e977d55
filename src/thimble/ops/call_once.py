# SPDX-License-Identifier: Apache-2.0
"""CALL_ONCE: runs another graph, before the first inference only; no operands and no outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import run_graph


@dataclass(frozen=True, slots=True)
class CallOnce(Attrs):
    OP: ClassVar[str] = "CALL_ONCE"
    OPTIONS: ClassVar[str] = "CallOnceOptions"
    init_subgraph_index: int = 0

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ()

    def subgraphs(self) -> tuple[int, ...]:
        return (self.init_subgraph_index,)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Run the graph unless `call.state` tells that it has run.

        Source: tensorflow/lite/micro/kernels/call_once.cc.
        """
        key = ("call_once", self.init_subgraph_index)
        if key not in call.state:
            run_graph(call, self.init_subgraph_index, ())
            call.state[key] = np.ones((), np.bool_)
        return ()
