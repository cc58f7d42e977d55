# SPDX-License-Identifier: Apache-2.0
"""Padding becomes the margins of the windows that are moved over it."""

from __future__ import annotations

from dataclasses import replace

from thimble.ir import Activation, DType, Graph, Kind, Op, OpId, Tensor, TensorId
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.max_pool_2d import MaxPool2D
from thimble.ops.movement import same_quant
from thimble.ops.numerics import limits, quant_of
from thimble.ops.pad import Pad
from thimble.ops.padding import zero_bytes
from thimble.ops.padv2 import PadV2
from thimble.ops.shapes import integers
from thimble.rewrites.compacted import compacted

_TYPES = (DType.FLOAT32, DType.INT8, DType.INT16)
_POSITIVE = (Activation.RELU, Activation.RELU6)

Margins = tuple[int, ...]
"""Rows above and below, columns left and right."""


def fold_pad(graph: Graph) -> Graph:
    """Take out PAD and PADV2 whose readers can see to the padding themselves.

    Precondition: none. Folded is padding of rows and columns by zeros, read by nothing but CONV_2D and
    DEPTHWISE_CONV_2D, or by MAX_POOL_2D where no element is below zero; every window must meet the image.
    Memory: the padded tensor is gone; its operand lives as long as it did.
    Numbers: bit-exact. What is outside counts as zero in convolutions, and does not count in a maximum.
    """
    ops: dict[OpId, Op] = {op.id: op for op in graph.ops}
    for pad in graph.ops:
        readers = [op for op in ops.values() if pad.outputs and pad.outputs[0] in op.inputs]
        margins = _margins(graph, pad)
        if margins is None or not readers or pad.outputs[0] in graph.outputs:
            continue
        folded = [_folded(graph, reader, pad, margins) for reader in readers]
        if all(folded):
            del ops[pad.id]
            ops.update((op.id, op) for op in folded if op is not None)
    return graph if len(ops) == len(graph.ops) else compacted(graph, graph.tensors, ops.values())


def _margins(graph: Graph, op: Op) -> Margins | None:
    """How far an operator pads an image by zeros, if that is all it does."""
    if not isinstance(op.attrs, Pad | PadV2):
        return None
    x, pads, *given = graph.operands(op)
    result, widths = graph.results(op)[0], integers(pads)
    if x is None or x.kind not in (Kind.INPUT, Kind.ACTIVATION) or x.dtype not in _TYPES or len(x.shape) != 4:
        return None
    if widths is None or any((*widths[:2], *widths[6:])) or _quantized_apart(x, result):
        return None
    zero = zero_bytes(result)
    if any(t is not None and (t.data is None or t.data[: len(zero)] != zero or _quantized_apart(t, x)) for t in given):
        return None
    return widths[2:6]


def _quantized_apart(one: Tensor, other: Tensor) -> bool:
    return one.dtype is not other.dtype or (one.dtype is DType.INT8 and not same_quant(one, other))


def _folded(graph: Graph, op: Op, pad: Op, margins: Margins) -> Op | None:
    """A reader of padding as a reader of what is padded; None if it cannot be."""
    x, result = pad.inputs[0], pad.outputs[0]
    if not isinstance(op.attrs, Conv2D | DepthwiseConv2D | MaxPool2D) or result in op.inputs[1:] or x is None:
        return None
    if isinstance(op.attrs, MaxPool2D) and not _never_below_zero(graph, x):
        return None
    slides = op.attrs.sliding(graph.operands(op))
    assert slides is not None
    found: list[int] = []
    for axis in (0, 1):
        size, count = graph.tensors[x].shape[1 + axis], graph.results(op)[0].shape[1 + axis]
        reach = (slides.kernel[axis] - 1) * slides.dilation[axis] + 1
        last = (count - 1) * slides.stride[axis] - slides.before[axis]  # where the last window starts
        before, after = margins[2 * axis : 2 * axis + 2]
        if slides.before[axis] + before >= reach or last - before >= size:
            return None
        found += [slides.before[axis] + before, max(after, last - before + reach - size)]
    return replace(op, attrs=replace(op.attrs, margins=tuple(found)), inputs=(x, *op.inputs[1:]))


def _never_below_zero(graph: Graph, tensor: TensorId) -> bool:
    """Whether no element is below what stands for zero."""
    t = graph.tensors[tensor]
    if t.dtype is DType.INT8 and quant_of(t).zero_point[0] == limits(t.dtype)[0]:
        return True
    maker = next((op for op in graph.ops if tensor in op.outputs), None)
    if maker is None:
        return False
    fused = getattr(maker.attrs, "fused_activation_function", Activation.NONE)
    return fused in _POSITIVE or maker.kind in ("RELU", "RELU6")
