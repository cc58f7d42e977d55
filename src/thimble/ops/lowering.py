# SPDX-License-Identifier: Apache-2.0
"""What the operators' `lower` share: parameters that many kernels take, and constants packed for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.ir import Array, DType, Shape
from thimble.kernel import Data, Fields, KernelCall, Site, whole

Pairs = Sequence[tuple[int, int]]


def image(shape: Shape) -> Fields:
    """The `thimble_image` of a dense `[N,H,W,C]` or `[H,W,C]` tensor."""
    height, width, channels = shape[-3:]
    return (
        ("height", height),
        ("width", width),
        ("channels", channels),
        ("row", width * channels),
        ("pixel", channels),
        ("ring", height),
    )


def packed(name: str, dtype: DType, values: Array | Sequence[int] | Sequence[float]) -> Data:
    """Numbers as a constant array of a type."""
    return Data(name, dtype, np.ascontiguousarray(values, np.dtype(dtype.label).newbyteorder("<")).tobytes())


def channel_table(bias: Array, multipliers: Pairs) -> Data:
    """Rows of (bias, multiplier, shift) per output channel; one multiplier may serve all channels.

    The bias counts modulo 2**32, as sums do.
    """
    count = len(bias)
    pairs = np.array(multipliers if len(multipliers) == count else [*multipliers] * count, np.int64)
    wrapped = (bias.astype(np.int64) + (1 << 31)) % (1 << 32) - (1 << 31)
    return packed("channels", DType.INT32, np.column_stack([wrapped, pairs]))


def copied(site: Site) -> tuple[KernelCall, ...]:
    """Operand 0 as it is, for operators that only change the shape. Kernel: `copy.h`."""
    x, output = site.tensor(0), site.outputs[0]
    fields = (("bytes", x.nbytes),)
    call = KernelCall("copy", "copy.h", whole(x), whole(output), struct="copy", fields=fields, in_place=((0, 0),))
    return (call,) if x.nbytes else ()
