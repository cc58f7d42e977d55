# SPDX-License-Identifier: Apache-2.0
"""Lowering of the six comparisons."""

from __future__ import annotations

import numpy as np

from thimble.ir import Attrs, Call, DType, Kind, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.bytewise import bytewise, evaluated, every, is_bytewise
from thimble.ops.pointwise import SUFFIX, common_type, pairwise
from thimble.ops.scaling import factor_of, operand

_TESTS = {"equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal}


def comparison(
    site: Site, attrs: Attrs, test: str, *, types: tuple[DType, ...], swapped: bool = False
) -> tuple[KernelCall, ...]:
    """`left test right`, or `right test left` if `swapped`, of operands of certain types.

    Kernels: `compare.h`, `table_8.h`.
    """
    if is_bytewise(site):
        return bytewise(site, attrs)
    dtype = common_type(site, *types, result=DType.BOOL)
    if dtype is not DType.INT8:
        suffix = "u8" if dtype is DType.BOOL else SUFFIX[dtype]
        return pairwise(site, f"{test}_{suffix}", "compare.h", swapped=swapped)
    if _is_plain(site, attrs, test, swapped):
        return pairwise(site, f"{test}_s8", "compare.h", swapped=swapped)
    first, second = (site.tensor(i) for i in ((1, 0) if swapped else (0, 1)))
    fields = tuple((name, operand(t, 8, factor_of(t))) for name, t in (("a", first), ("b", second)))
    return pairwise(site, f"{test}_scaled_s8", "compare.h", fields, struct="compare_scaled", swapped=swapped)


def _is_plain(site: Site, attrs: Attrs, test: str, swapped: bool) -> bool:
    """Whether the stored numbers compare as what they stand for does, by all 65,536 pairs."""
    left, right = site.tensor(0), site.tensor(1)
    if left.quant != right.quant:
        return False
    x = every(DType.INT8).reshape(256, 1)
    y = x.reshape(1, 256)
    line = Tensor(left.id, "", x.shape, left.dtype, left.quant), Tensor(left.id, "", y.shape, left.dtype, left.quant)
    out = Tensor(left.id, "", (256, 256), DType.BOOL, None, Kind.ACTIVATION)
    found = evaluated(site, attrs, Call((x, y), line, (out,)))
    return np.array_equal(found, _TESTS[test](y, x) if swapped else _TESTS[test](x, y))
