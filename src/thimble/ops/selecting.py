# SPDX-License-Identifier: Apache-2.0
"""Lowering of SELECT and SELECT_V2."""

from __future__ import annotations

from thimble.ir import DType
from thimble.kernel import KernelCall, Site
from thimble.ops.strided import Block, block, item_bytes, loop_fields, loops

AXES = 5
"""Loops of `select.h`."""


def selected(site: Site, condition: Block) -> tuple[KernelCall, ...]:
    """Operand 1 where the condition, already of the output's shape, holds, else operand 2. Kernel: `select.h`."""
    output = block(site.outputs[0])
    if condition.tensor.dtype is not DType.BOOL:
        raise site.unsupported(f"a condition of type {condition.tensor.dtype.label}, bool is supported")
    item = item_bytes(site, output.tensor, site.tensor(1), site.tensor(2))
    if not output.tensor.nbytes:
        return ()
    operands = (condition, *(block(site.tensor(i)).broadcast(output.shape) for i in (1, 2)))
    found = loops(output.shape, *(operand.strides for operand in operands))
    run = item
    if found and found[-1][1] == (0, item, item):
        run = found.pop()[0] * item
    if len(found) > AXES:
        raise site.unsupported(f"operands that repeat along {len(found)} axes, {AXES} are supported")
    fields = (*loop_fields(found, AXES, ("condition", "yes", "no")), ("run", run), ("item", item))
    reads = tuple(operand.view() for operand in operands)
    same = tuple((i, 0) for i in (1, 2) if operands[i].strides == output.strides)
    return (KernelCall("select", "select.h", reads, (output.view(),), struct="select", fields=fields, in_place=same),)
