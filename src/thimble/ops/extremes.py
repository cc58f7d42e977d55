# SPDX-License-Identifier: Apache-2.0
"""Lowering of ARG_MAX and ARG_MIN."""

from __future__ import annotations

import math

from thimble.ir import DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.shapes import axis_of
from thimble.ops.strided import constant_numbers

FLIPS = {DType.INT8: 0x80, DType.UINT8: 0x00}
"""What makes unsigned bytes, in the same order, of a type's."""


def first_extreme(site: Site, *, least: bool) -> tuple[KernelCall, ...]:
    """Index of the first largest or smallest element along the axis of operand 1. Kernels: `arg_max.h`."""
    x, output = site.tensor(0), site.outputs[0]
    axis = axis_of(constant_numbers(site, 1)[0], len(x.shape))
    if output.dtype not in (DType.INT32, DType.INT64):
        raise site.unsupported(f"an output of type {output.dtype.label}; int32 and int64 are supported")
    if x.dtype not in (*FLIPS, DType.FLOAT32):
        raise site.unsupported(f"type {x.dtype.label}; float32, int8 and uint8 are supported")
    fields = (
        ("outer", math.prod(x.shape[:axis])),
        ("count", x.shape[axis]),
        ("inner", math.prod(x.shape[axis + 1 :])),
        ("flip", FLIPS.get(x.dtype, 0) ^ (0xFF if least else 0)),
        ("least", int(least)),
        ("words", output.dtype.bits // 32),
    )
    name = "arg_max_f32" if x.dtype is DType.FLOAT32 else "arg_max_8"
    call = KernelCall(name, "arg_max.h", whole(x), whole(output), struct="arg_max", fields=fields)
    return (call,) if output.nbytes else ()
