# SPDX-License-Identifier: Apache-2.0
"""Lowering of arithmetic on quantized elements, step by step as TFLM does it: parameters of `scale.h` and its users."""

from __future__ import annotations

import numpy as np

from thimble.ir import Activation, DType, Tensor
from thimble.kernel import Fields, KernelCall, Site
from thimble.ops.arithmetic import scale_of
from thimble.ops.numerics import activation_range, limits, quant_of, quantize_multiplier
from thimble.ops.pointwise import SUFFIX, each, pairwise, refused

_HALF = (1 << 30, 0)  # the multiplier that moves by one bit and rounds nothing


def scale(factor: float, most: int, lift: int = 0) -> Fields:
    """The `thimble_scale` of a real factor, with an integer that is added after.

    The numbers to be scaled have at most a certain magnitude. Where there is room all is counted twice: the tie is then
    in the upper half of 64 bits only.
    """
    multiplier, exponent = quantize_multiplier(factor)
    left, shift = max(exponent, 0), 31 + max(-exponent, 0)
    nearest = (1 << 30) + (1 << (shift - 1) if shift > 31 else 0)
    twice = int(shift > 31 and most < 1 << 30)
    return (
        ("round", (nearest << twice) + (lift << (shift + twice))),
        ("tie", -(1 << (31 + twice)) if shift > 31 else 0),
        ("multiplier", multiplier),
        ("left", left + twice),
        ("shift", shift + twice),
    )


def lifts(factor: float, most: int, lift: int) -> bool:
    """Whether `scale` has room for an integer that is added: nothing wraps around, in 32 bits or 64."""
    _, exponent = quantize_multiplier(factor)
    left, shift = max(exponent, 0), 32 + max(-exponent, 0)
    return most << left < 1 << 31 and most * factor + abs(lift) < (1 << 31) - 1 and abs(lift) << shift < 1 << 61


def operand(tensor: Tensor, bits: int, factor: float) -> Fields:
    """The `thimble_operand` that stands for `(x - zero) * 2**bits * factor`; half of a sum is exact."""
    half = bits > 0 and quantize_multiplier(factor) == _HALF
    return (
        ("scale", scale(factor, reach(tensor) << bits)),
        ("zero", zero_of(tensor)),
        ("bits", bits - half),
        ("whole", int(half)),
    )


def result(out: Tensor, factor: float, most: int, activation: Activation = Activation.NONE) -> Fields:
    """The `thimble_result` that multiplies numbers up to a magnitude by a factor and applies a fused activation."""
    return stored(out, activation, (factor, most))[-1]


def stored(out: Tensor, activation: Activation, *scales: tuple[float, int]) -> tuple[Fields, ...]:
    """A `thimble_scale` for each factor and magnitude but the last, which is in the `thimble_result` at the end.

    The zero point is part of the scales where all have room for it.
    """
    zero, (low, high) = zero_of(out), activation_range(activation, out)
    if all(lifts(factor, most, zero) for factor, most in scales):
        made = [scale(factor, most, zero) for factor, most in scales]
        rest: Fields = (("zero", 0), ("low", low), ("high", high))
    else:
        made, rest = [scale(factor, most) for factor, most in scales], bounds(out, activation)
    return (*made[:-1], (("scale", made[-1]), *rest))


def reach(tensor: Tensor) -> int:
    """The largest magnitude of an element less the zero point."""
    low, high = limits(tensor.dtype)
    return max(high - zero_of(tensor), zero_of(tensor) - low)


def bounds(
    out: Tensor, activation: Activation = Activation.NONE
) -> tuple[tuple[str, int], tuple[str, int], tuple[str, int]]:
    """Zero point, and the range of the result without it; what int32 cannot hold is no bound."""
    zero, (low, high) = zero_of(out), activation_range(activation, out)
    least, most = limits(DType.INT32)
    return ("zero", zero), ("low", max(low - zero, least)), ("high", min(high - zero, most))


def zero_of(tensor: Tensor) -> int:
    """The tensor's zero point; 0 where it has none."""
    return quant_of(tensor).zero_point[0]


def factor_of(tensor: Tensor) -> float:
    """The tensor's scale as a double, as the references multiply and divide it."""
    return float(scale_of(tensor))


def rescaled(site: Site, activation: Activation = Activation.NONE) -> tuple[KernelCall, ...]:
    """Operand 0 in the scale and type of the result, clamped by an activation. Kernels: `rescale.h`."""
    x, out = site.tensor(0), site.outputs[0]
    fields = (("zero", zero_of(x)), ("out", result(out, factor_of(x) / factor_of(out), reach(x), activation)))
    kernel = f"rescale_{SUFFIX[x.dtype]}_{SUFFIX[out.dtype]}"
    return each(site, kernel, "rescale.h", fields, struct="rescale")


def bent(
    site: Site, positive: float, negative: float, *, before: int, after: int, clamps: bool = True
) -> tuple[KernelCall, ...]:
    """int16 by one factor where not negative, else negated or not, by another, negated or not. Kernels: `rescale.h`."""
    x, out = site.tensor(0), site.outputs[0]
    fields = (
        ("zero", zero_of(x) if clamps else 0),
        ("negative", scale(negative, reach(x))),
        ("before", before),
        ("after", after),
        ("out", (("scale", scale(positive, reach(x))), *(bounds(out) if clamps else _unbounded()))),
    )
    return each(site, "bent_s16", "rescale.h", fields, struct="bent")


def _unbounded() -> Fields:
    least, most = limits(DType.INT32)
    return ("zero", 0), ("low", least), ("high", most)


def combined(
    site: Site, kernel: str, bits: int, activation: Activation = Activation.NONE, *, squares: bool = False
) -> tuple[KernelCall, ...]:
    """ADD, SUB or SQUARED_DIFFERENCE of operands brought to twice the larger scale, with `bits` more bits each.

    Kernels: `pairwise_scaled.h`.
    """
    left, right, out = site.tensor(0), site.tensor(1), site.outputs[0]
    scales = factor_of(left), factor_of(right)
    twice = 2 * max(scales)
    most = ((reach(left) + reach(right)) << bits) // 2 + 2  # both factors are one half at most
    if squares:
        factor, most = twice * twice / float(np.float32(1 << (2 * bits)) * scale_of(out)), most * most
    else:
        factor = twice / ((1 << bits) * factor_of(out))
    fields = (
        ("a", operand(left, bits, scales[0] / twice)),
        ("b", operand(right, bits, scales[1] / twice)),
        ("out", result(out, factor, most, activation)),
    )
    return pairwise(site, f"{kernel}_{signed_suffix(site)}", "pairwise_scaled.h", fields, struct="scaled")


def product(site: Site, activation: Activation) -> tuple[KernelCall, ...]:
    """MUL. Kernels: `pairwise_scaled.h`."""
    left, right, out = site.tensor(0), site.tensor(1), site.outputs[0]
    factor = factor_of(left) * factor_of(right) / factor_of(out)
    stores = result(out, factor, reach(left) * reach(right), activation)
    fields = (("a_zero", zero_of(left)), ("b_zero", zero_of(right)), ("out", stores))
    return pairwise(site, f"mul_{signed_suffix(site)}", "pairwise_scaled.h", fields, struct="product")


def prelu(site: Site) -> tuple[KernelCall, ...]:
    """PRELU. Kernels: `pairwise_scaled.h`."""
    x, alpha, out = site.tensor(0), site.tensor(1), site.outputs[0]
    negative = factor_of(x) * factor_of(alpha) / factor_of(out), reach(x) * reach(alpha)
    below, above = stored(out, Activation.NONE, negative, (factor_of(x) / factor_of(out), reach(x)))
    fields = (("a_zero", zero_of(x)), ("b_zero", zero_of(alpha)), ("negative", below), ("out", above))
    return pairwise(site, f"prelu_{SUFFIX[x.dtype]}", "pairwise_scaled.h", fields, struct="prelu")


def signed_suffix(site: Site) -> str:
    """How a kernel's name ends by the type of operand 0: no uint8, which `rewrites/signed.py` changes to int8."""
    if site.tensor(0).dtype not in (DType.INT8, DType.INT16):
        raise refused(site, DType.INT8, DType.INT16)
    return SUFFIX[site.tensor(0).dtype]
