# SPDX-License-Identifier: Apache-2.0
"""ADD and SUB of int8 as one linear form in int32, where that is proven to round like TFLM for all pairs of operands.

TFLM rounds four times on the way. As all of it keeps some 20 bits below the result's last, a linear form with as many
nearly always gives the same result; for which coefficients it does is decided by looking at all 65,536 pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from thimble.ir import Activation, Array, Attrs, Call, DType, Kind, Shape, Tensor, TensorId
from thimble.kernel import Fields, KernelCall, Site
from thimble.ops import legacy
from thimble.ops.bytewise import every
from thimble.ops.pointwise import pairwise
from thimble.ops.scaling import combined, factor_of, zero_of

MOST_SHIFT = 24
"""Fraction bits of the coefficients at most: any more are those of products that int32 has no room for."""

_NEAR = (0, -1, 1)  # coefficients beside the nearest are tried too


@dataclass(frozen=True, slots=True)
class Linear:
    """`floor((t + c) / 2**bits)` of `t = a * x + b * y + centre`; negative t take `c + lean` for `c`."""

    a: int
    b: int
    centre: int
    bits: int
    c: int = 0
    lean: int = 0


def lowered_sum(site: Site, attrs: Attrs, sign: int, activation: Activation) -> tuple[KernelCall, ...]:
    """ADD (sign 1) or SUB (-1) of quantized operands. Kernels: `sum_s8.h`, `pairwise_scaled.h`."""
    if site.tensor(0).dtype is DType.INT8:
        fields = sum_fields(site, attrs, sign)
        if fields is not None:
            return pairwise(site, "linear_s8", "sum_s8.h", fields, struct="linear_s8")
    bits = 15 if site.tensor(0).dtype is DType.INT16 else 20
    return combined(site, "add" if sign == 1 else "sub", bits, activation)


def sum_fields(site: Site, attrs: Attrs, sign: int) -> Fields | None:
    """The members of a `thimble_linear_s8_params` after the axes, if a linear form is the very result of a sum.

    As for `lowered_sum`, the sign is 1 for ADD and -1 for SUB.
    """
    left, right = _alone(site.tensor(0), (256, 1)), _alone(site.tensor(1), (1, 256))
    return _sum_fields(attrs, sign, left, right, _alone(site.outputs[0], (256, 256)))


def _alone(tensor: Tensor, shape: Shape) -> Tensor:
    """What of a tensor the arithmetic depends on, so that the search's results can be kept."""
    return Tensor(TensorId(0), "", shape, tensor.dtype, tensor.quant, Kind.ACTIVATION)


@lru_cache(maxsize=1024)
def _sum_fields(attrs: Attrs, sign: int, left: Tensor, right: Tensor, out: Tensor) -> Fields | None:
    levels = every(DType.INT8)
    call = Call((levels.reshape(256, 1), levels.reshape(1, 256)), (left, right), (out,))
    wanted = legacy.reference(attrs, call)[0].astype(np.int64)
    first, second = factor_of(left) / factor_of(out), sign * factor_of(right) / factor_of(out)
    offset = zero_of(out) - zero_of(left) * first - zero_of(right) * second
    reach = 128 * (abs(first) + abs(second)) + abs(offset) + 2  # of the sum, in steps of the result
    shift = min(math.floor(math.log2((1 << 31) / reach)), MOST_SHIFT)
    if shift < 0:
        return None
    zeros = zero_of(left), zero_of(right)
    for signed in (False, True):
        for form in _candidates((first, second), zeros if signed else (0, 0), shift - signed):
            found = fitted(wanted, form, signed=signed)
            if found is not None:
                return _fields(found, int(wanted.min()), int(wanted.max()))
    return None


def _candidates(slopes: tuple[float, float], zeros: tuple[int, int], bits: int) -> Iterator[Linear]:
    """Forms of two slopes around two zero points, the nearest first."""
    near = ([round(slope * 2.0**bits) + step for step in _NEAR] for slope in slopes)
    for a, b in itertools.product(*near):
        yield Linear(a, b, -(a * zeros[0] + b * zeros[1]), bits)


def fitted(wanted: Array, form: Linear, *, signed: bool) -> Linear | None:
    """The form with the constants by which its result, clamped to the range of `wanted`, is `wanted`.

    `wanted` are the results by the operands' values, `[256, 256]`, in ascending order. If `signed`, negative sums may
    have a constant of their own.
    """
    if wanted.min() == wanted.max():
        return Linear(0, 0, 0, form.bits)  # all is clamped
    x = np.arange(-128, 128, dtype=np.int64)
    sums = form.a * x[:, None] + form.b * x[None, :] + form.centre
    negative = sums < 0
    signed = signed and bool(negative.any())
    c = _constant(wanted, sums, form.bits, ~negative if signed else np.full(sums.shape, True))
    below = _constant(wanted, sums, form.bits, negative) if signed else c
    if c is None or below is None:
        return None
    found = replace(form, c=c, lean=below - c)
    return found if _holds(found) else None


def _constant(wanted: Array, sums: Array, bits: int, among: Array) -> int | None:
    """A constant that gives the wanted results among some of the sums, if there is one.

    Every sum allows it an interval, and only a constant in all of them will do; at the clamps intervals are open.
    """
    least_of, most_of = among & (wanted > wanted.min()), among & (wanted < wanted.max())
    start = wanted << bits
    least = int((start - sums)[least_of].max()) if least_of.any() else None
    most = int((start - sums)[most_of].min()) + (1 << bits) - 1 if most_of.any() else None
    if least is None or most is None:
        return most if least is None else least
    return (least + most) // 2 if least <= most else None


def _holds(form: Linear) -> bool:
    """Whether no sum leaves int32."""
    return 128 * (abs(form.a) + abs(form.b)) + abs(form.centre) + abs(form.c) + abs(form.lean) < 1 << 31


def _fields(form: Linear, low: int, high: int) -> Fields:
    centre, c = (form.centre, form.c) if form.lean else (form.centre + form.c, 0)
    return (
        ("left", form.a),
        ("right", form.b),
        ("centre", centre),
        ("round", c),
        ("lean", form.lean),
        ("shift", form.bits),
        ("low", low),
        ("high", high),
    )
