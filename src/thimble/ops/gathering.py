# SPDX-License-Identifier: Apache-2.0
"""Lowering of the operators that look up positions of run time: GATHER, GATHER_ND and EMBEDDING_LOOKUP."""

from __future__ import annotations

import math
from dataclasses import dataclass

from thimble.ir import DType, Tensor
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.shapes import integers
from thimble.ops.strided import block, copies, item_bytes

DEPTH = 6
"""Numbers of a position that `gather.h` takes."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """For each of `sets` there are `outer` blocks of the table and `count` positions, used for each of the blocks.

    A position is a number per entry of `extents`, which are the axes of a block before the run that is looked up.
    """

    sets: int
    outer: int
    count: int
    extents: tuple[int, ...]
    run: int  # elements


def looked_up(site: Site, table: Tensor, where: Tensor, lookup: Lookup) -> tuple[KernelCall, ...]:
    """Runs of a table at positions. Kernel: `gather.h`; for one known position `copy.h` or `strided_copy.h`."""
    output, depth = site.outputs[0], len(lookup.extents)
    item = item_bytes(site, output, table)
    check_positions(site, where, lookup.extents)
    if not output.nbytes:
        return ()
    if depth > DEPTH:
        raise site.unsupported(f"positions of {depth} numbers, {DEPTH} are supported")
    known = integers(where)
    if known is not None and lookup.sets * lookup.count == 1:
        shape = (lookup.outer, *lookup.extents, lookup.run)
        chosen = block(table, shape)
        for axis, index in enumerate(known):
            chosen = chosen.part(1 + axis, index, 1)
        return copies(site, chosen, block(output, chosen.shape))
    run = lookup.run * item
    unused = (0,) * (DEPTH - depth)
    strides = tuple(run * math.prod(lookup.extents[i + 1 :]) for i in range(depth))
    fields = (
        ("sets", lookup.sets),
        ("outer", lookup.outer),
        ("count", lookup.count),
        ("block", run * math.prod(lookup.extents)),
        ("depth", depth),
        ("last", tuple(extent - 1 for extent in lookup.extents) + unused),
        ("stride", strides + unused),
        ("run", run),
        ("item", item),
    )
    return (KernelCall("gather", "gather.h", whole(where, table), whole(output), struct="gather", fields=fields),)


def check_positions(site: Site, where: Tensor, extents: tuple[int, ...]) -> None:
    """Positions are of int32 and, where they are known, within the table.

    Raises:
        UnsupportedOperatorError: they are not.
    """
    if where.dtype is not DType.INT32:
        raise site.unsupported(f"positions of type {where.dtype.label}, int32 is supported")
    for place, index in enumerate(integers(where) or ()):
        extent = extents[place % len(extents)]
        if not 0 <= index < extent:
            raise site.unsupported(f"position {index}, where 0 to {extent - 1} are allowed")
