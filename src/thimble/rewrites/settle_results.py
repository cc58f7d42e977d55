# SPDX-License-Identifier: Apache-2.0
"""Results whose shapes files leave open get those that the operator gives them."""

from __future__ import annotations

from dataclasses import replace

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Graph
from thimble.ops.detection_post_process import DetectionPostProcess


def settle_results(graph: Graph) -> Graph:
    """Give the results of TFLite_Detection_PostProcess their shapes, where LiteRT allocates them at run time.

    Precondition: none.
    Memory: the results take the bytes that they have.
    Numbers: none change.
    """
    tensors = list(graph.tensors)
    for op in graph.ops:
        if not isinstance(op.attrs, DetectionPostProcess):
            continue
        try:
            shapes = op.attrs.result_shapes()
        except UnsupportedOperatorError:
            continue  # the lowering says so
        for index, shape in zip(op.outputs, shapes, strict=False):
            if tensors[index].shape != shape:
                tensors[index] = replace(tensors[index], shape=shape, signature=None)
    changed = any(old is not new for old, new in zip(graph.tensors, tensors, strict=True))
    return replace(graph, tensors=tuple(tensors)) if changed else graph
