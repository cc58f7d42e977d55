# SPDX-License-Identifier: Apache-2.0
"""Lowering of functions of single 8-bit elements: a copy, a clamp, or a table made by the operator's own reference.

An operator on two operands is one too where both are the same tensor, or one is a constant scalar.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Array, Attrs, Call, DType, Kind, Tensor
from thimble.kernel import Fields, KernelCall, Site
from thimble.ops import legacy
from thimble.ops.lowering import copied, packed
from thimble.ops.numerics import limits
from thimble.ops.pointwise import each

BYTES = (DType.INT8, DType.UINT8)


def is_bytewise(site: Site) -> bool:
    """Whether the operator is a function of single 8-bit elements."""
    present = [t for t in site.inputs if t is not None]
    free = [t for t in present if not _is_scalar(t)]
    if not free or free[0].dtype not in BYTES or site.outputs[0].dtype.bits != 8:
        return False
    return len({t.id for t in free}) == 1 and free[0].elements == site.outputs[0].elements


def bytewise(site: Site, attrs: Attrs) -> tuple[KernelCall, ...]:
    """The call for an operator that `is_bytewise`, by what its reference makes of all 256 values.

    Raises:
        UnsupportedOperatorError: the reference refuses the types.
    """
    x = next(t for t in site.inputs if t is not None and not _is_scalar(t))
    found = table(site, attrs, x)
    alone = replace(site, inputs=(x,))
    levels = every(x.dtype)
    if np.array_equal(levels.view(np.uint8), found.view(np.uint8)):
        return copied(alone)
    suffix = "s8" if x.dtype is DType.INT8 else "u8"
    fields = clamp(levels.astype(np.int64), found.astype(np.int64))
    if fields is not None:
        return each(alone, f"clamp_{suffix}", "clamp.h", fields, struct="clamp")
    by_byte = np.empty(256, np.uint8)
    by_byte[levels.view(np.uint8)] = found.view(np.uint8)
    return each(alone, "table_8", "table_8.h", constants=(packed("table", DType.UINT8, by_byte),))


def table(site: Site, attrs: Attrs, x: Tensor) -> Array:
    """The operator's results for all 256 values of operand `x`, in ascending order."""
    line = replace(x, shape=(256,), kind=Kind.ACTIVATION, data=None)
    operands = tuple(None if t is None else line if t.id == x.id else replace(t, shape=()) for t in site.inputs)
    levels = every(x.dtype)
    values = tuple(None if t is None else levels if t.id == x.id else _scalar(t) for t in operands)
    out = replace(site.outputs[0], shape=(256,))
    return evaluated(site, attrs, Call(values, operands, (out,)))


def evaluated(site: Site, attrs: Attrs, call: Call) -> Array:
    """The reference's one result, its refusal as one of compiling."""
    try:
        return legacy.reference(attrs, call)[0]
    except UnsupportedOperatorError as error:
        raise site.unsupported(str(error)) from None


def every(dtype: DType) -> Array:
    """All values of an 8-bit type, in ascending order."""
    low, high = limits(dtype)
    return np.arange(low, high + 1).astype(dtype.label)


def clamp(levels: Array, found: Array) -> Fields | None:
    """The members of a `thimble_clamp_params` that say the same as a table, if there are any."""
    low, high = int(found.min()), int(found.max())
    for slope in (1, -1):
        inner = (found > low) & (found < high)
        known = inner if inner.any() else found == (high if slope == 1 else low)
        place = int(np.argmax(known))
        offset = int(found[place] - slope * levels[place])
        if np.array_equal(np.clip(slope * levels + offset, low, high), found):
            return (("slope", slope), ("offset", offset), ("low", low), ("high", high))
    return None


def _is_scalar(tensor: Tensor) -> bool:
    return tensor.data is not None and tensor.elements == 1


def _scalar(tensor: Tensor) -> Array:
    return np.frombuffer(tensor.data or b"", np.dtype(tensor.dtype.label).newbyteorder("<"))[:1].reshape(())
