# SPDX-License-Identifier: Apache-2.0
"""Calls into the user's own CMSIS-NN for int8 pools, SOFTMAX, ADD and MUL; None where it has no such function.

Kernels: `cmsis_nn_pool_2d.h`, `cmsis_nn_elementwise.h`. The operators with weights are in `weighted_cmsis.py`.
"""

from __future__ import annotations

from thimble.ir import Activation, DType, Tensor
from thimble.kernel import Fields, KernelCall, Site, whole
from thimble.ops.cmsis_sizes import Pair, average_pool_s8
from thimble.ops.legacy import is_legacy
from thimble.ops.numerics import activation_range, quantize_multiplier
from thimble.ops.reduction import along_last, row_length
from thimble.ops.scaling import factor_of, reach, zero_of
from thimble.ops.weighted import Window
from thimble.ops.weighted_cmsis import slide_over, tile, work_field, work_space

Calls = tuple[KernelCall, ...]
_SUM_BITS = 20  # by which ADD shifts its operands left
_LONGEST_ROW = 511  # of equal elements, whose exponentials add up to less than SOFTMAX's fixed point can divide by


def pooled(site: Site, kernel: str, over: Window, activation: Activation) -> Calls | None:
    """AVERAGE_POOL_2D (kernel "average_pool_2d") or MAX_POOL_2D ("max_pool_2d")."""
    x, output = site.tensor(0), site.outputs[0]
    if not _int8(site, x, output):
        return None
    slide, flavour = slide_over(over, x.shape), site.flavour
    size = 0
    if kernel == "average_pool_2d":
        size = work_space(flavour, lambda mve: average_pool_s8(x.shape[3], dsp=not mve, mve=mve))
    low, high = activation_range(activation, output)
    fields: Fields = (
        (
            "pool",
            (
                ("stride", tile(slide.stride)),
                ("padding", tile(slide.padding)),
                ("activation", (("min", low), ("max", high))),
            ),
        ),
        ("in", tuple(zip("nhwc", x.shape, strict=True))),
        ("filter", tile(Pair(*over.kernel))),
        ("out", tuple(zip("nhwc", output.shape, strict=True))),
        work_field(flavour, size),
    )
    name, struct = f"cmsis_nn_{kernel}", "cmsis_nn_pool_2d"
    return (KernelCall(name, f"{struct}.h", whole(x), whole(output), (), struct, fields, size),)


def softmax(site: Site, scaling: tuple[int, int, int]) -> Calls | None:
    """SOFTMAX; the scaling is that of `ops/softmax.py`."""
    x, output = site.tensor(0), site.outputs[0]
    if not _int8(site, x, output) or row_length(x) > _LONGEST_ROW:
        return None
    multiplier, shift, least = scaling
    fields = (*along_last(x), ("multiplier", multiplier), ("shift", shift), ("least", least))
    name = "cmsis_nn_softmax"
    return (KernelCall(name, _ELEMENTWISE, whole(x), whole(output), (), name, fields, in_place=((0, 0),)),)


def added(site: Site, activation: Activation) -> Calls | None:
    """ADD."""
    left, right, out = site.tensor(0), site.tensor(1), site.outputs[0]
    if not _int8(site, left, right, out):
        return None
    twice = 2 * max(factor_of(left), factor_of(right))
    factors = [factor_of(left) / twice, factor_of(right) / twice, twice / ((1 << _SUM_BITS) * factor_of(out))]
    return _pair(site, "cmsis_nn_add", factors, activation, bits=_SUM_BITS, most=0)


def multiplied(site: Site, activation: Activation) -> Calls | None:
    """MUL."""
    left, right, out = site.tensor(0), site.tensor(1), site.outputs[0]
    if not _int8(site, left, right, out):
        return None
    factors = [0.0, 0.0, factor_of(left) * factor_of(right) / factor_of(out)]
    return _pair(site, "cmsis_nn_mul", factors, activation, bits=0, most=reach(left) * reach(right))


def _pair(site: Site, name: str, factors: list[float], activation: Activation, *, bits: int, most: int) -> Calls | None:
    """A call for two operands of the result's shape; its sums or products have at most a certain magnitude."""
    left, right, out = site.tensor(0), site.tensor(1), site.outputs[0]
    scales = [quantize_multiplier(factor) for factor in factors]
    exponent = scales[-1][1]
    if not left.shape == right.shape == out.shape or (exponent > 0 and (not most or most << exponent >= 1 << 31)):
        return None
    low, high = activation_range(activation, out)
    offsets = -zero_of(left), -zero_of(right), zero_of(out)
    members = (
        (name, (("offset", offset), ("multiplier", mantissa), ("shift", shift)))
        for name, offset, (mantissa, shift) in zip(("a", "b", "out"), offsets, scales, strict=True)
    )
    fields: Fields = (("elements", out.elements), ("bits", bits), *members, ("low", low), ("high", high))
    same = ((0, 0), (1, 0))
    return (KernelCall(name, _ELEMENTWISE, whole(left, right), whole(out), (), "cmsis_nn_pair", fields, in_place=same),)


_ELEMENTWISE = "cmsis_nn_elementwise.h"


def _int8(site: Site, *tensors: Tensor) -> bool:
    """Whether CMSIS-NN is wanted, and all operands are int8 in the file too, and not empty."""
    if not site.flavour.calls_cmsis_nn:
        return False
    return all(t.dtype is DType.INT8 and not is_legacy(t) and t.nbytes > 0 for t in tensors)
