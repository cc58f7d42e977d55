# SPDX-License-Identifier: Apache-2.0
"""Small graphs side by side in one model."""

from __future__ import annotations

from tflm_models import Step, graph, model
from thimble.ir import Graph, Model, Tensor


def together(parts: list[Graph]) -> Model:
    tensors: list[Tensor] = []
    steps: list[Step] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for part in parts:
        first = len(tensors)
        tensors += part.tensors
        inputs += [first + i for i in part.inputs]
        outputs += [first + i for i in part.outputs]
        for op in part.ops:
            operands = tuple(None if i is None else first + i for i in op.inputs)
            steps.append(Step(op.attrs, operands, tuple(first + i for i in op.outputs)))
    return model(graph(tensors, steps, tuple(inputs), tuple(outputs)))
