# SPDX-License-Identifier: Apache-2.0
"""Lowering of elementwise operators: loops over elements, broadcasting made simple, and which types go together."""

from __future__ import annotations

import math

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Activation, DType, Shape, Tensor
from thimble.kernel import Data, Fields, KernelCall, Site, whole
from thimble.ops.legacy import is_legacy
from thimble.ops.numerics import BOUNDS, limits

SUFFIX = {
    DType.FLOAT32: "f32",
    DType.FLOAT16: "f16",
    DType.INT8: "s8",
    DType.INT16: "s16",
    DType.INT32: "s32",
    DType.INT64: "s64",
    DType.UINT8: "u8",
    DType.UINT32: "u32",
}
"""How names of kernels end, by the type of the elements that they see."""

MOST_AXES = 5  # of a `thimble_pairs`


def refused(site: Site, *supported: DType) -> UnsupportedOperatorError:
    """The refusal of the operands' types, to be raised."""
    found = ", ".join(_type(t).label for t in (*site.inputs, *site.outputs) if t is not None)
    return site.unsupported(f"operands of types {found}; supported are {', '.join(t.label for t in supported)}")


def common_type(site: Site, *supported: DType, result: DType | None = None) -> DType:
    """The one type that all operands have, and all results if `result` does not say another.

    int8 that is uint8 in the file counts as uint8, and is int8 to the kernels: the arithmetic does not differ.

    Raises:
        UnsupportedOperatorError: they differ, or the type is none of `supported`.
    """
    operands = [t for t in site.inputs if t is not None]
    found = {_type(t) for t in (operands if result else (*operands, *site.outputs))}
    if len(found) != 1 or not found <= set(supported) or (result and site.outputs[0].dtype is not result):
        raise refused(site, *supported)
    return site.tensor(0).dtype


def _type(tensor: Tensor) -> DType:
    return DType.UINT8 if is_legacy(tensor) else tensor.dtype


def each(
    site: Site, kernel: str, header: str, fields: Fields = (), *, struct: str = "each", constants: tuple[Data, ...] = ()
) -> tuple[KernelCall, ...]:
    """One pass over operand 0 by a kernel of one input; `fields` come after the number of elements."""
    x, out = site.tensor(0), site.outputs[0]
    if not out.elements:
        return ()
    share = ((0, 0),) if x.dtype.bits == out.dtype.bits else ()
    fields = (("count", out.elements), *fields)
    return (KernelCall(kernel, header, whole(x), whole(out), constants, struct, fields, in_place=share),)


def pairwise(
    site: Site,
    kernel: str,
    header: str,
    fields: Fields = (),
    *,
    struct: str = "pairwise",
    constants: tuple[Data, ...] = (),
    swapped: bool = False,
) -> tuple[KernelCall, ...]:
    """One pass over operands 0 and 1 by a kernel of two inputs, in the other order if `swapped`.

    `fields` come after the axes.
    """
    left, right = (site.tensor(i) for i in ((1, 0) if swapped else (0, 1)))
    out = site.outputs[0]
    if not out.elements:
        return ()
    same = (t.elements == out.elements and t.dtype.bits == out.dtype.bits for t in (left, right))
    share = tuple((i, 0) for i, may in enumerate(same) if may)
    fields = (("over", axes(site, left.shape, right.shape, out.shape)), *fields)
    return (KernelCall(kernel, header, whole(left, right), whole(out), constants, struct, fields, in_place=share),)


def plain_f32(site: Site, kernel: str, activation: Activation) -> tuple[KernelCall, ...]:
    """Arithmetic on pairs of floats, clamped by a fused activation. Kernels: `pairwise_f32.h`."""
    low, high = BOUNDS.get(activation, (None, None))
    fields = (
        ("clamps", int(low is not None)),
        ("low", 0.0 if low is None else low),
        ("high", math.inf if high is None else high),
    )
    return pairwise(site, kernel, "pairwise_f32.h", fields, struct="pairwise_f32")


def plain_s32(site: Site, kernel: str, activation: Activation = Activation.NONE) -> tuple[KernelCall, ...]:
    """Arithmetic on pairs of int32, clamped by a fused activation. Kernels: `pairwise_plain.h`."""
    low, high = BOUNDS.get(activation, (None, None))
    least, most = limits(DType.INT32)
    fields = (("low", least if low is None else int(low)), ("high", most if high is None else int(high)))
    return pairwise(site, kernel, "pairwise_plain.h", fields, struct="pairwise_s32")


def axes(site: Site, left: Shape, right: Shape, out: Shape) -> Fields:
    """The `thimble_pairs` of two shapes that broadcast to a third: as few axes as possible.

    Axes of one element vanish, and neighbours that both inputs pass through in step are one. Equal shapes become one
    axis, as does a scalar with anything.

    Raises:
        UnsupportedOperatorError: the shapes alternate between repeated and not more often than kernels have loops.
    """
    found: list[tuple[int, int, int]] = []  # size and strides, innermost first
    for size, *strides in reversed(list(zip(out, _strides(left, out), _strides(right, out), strict=True))):
        if size == 1:
            continue
        if found and all(stride == found[-1][0] * inner for stride, inner in zip(strides, found[-1][1:], strict=True)):
            found[-1] = (size * found[-1][0], *found[-1][1:])
        else:
            found.append((size, strides[0], strides[1]))
    if len(found) > MOST_AXES:
        raise site.unsupported(f"shapes {list(left)} and {list(right)} broadcast along more than {MOST_AXES} axes")
    found += [(1, 0, 0)] * (MOST_AXES - len(found))
    return (
        ("size", tuple(size for size, _, _ in reversed(found))),
        ("left", _steps([(size, stride) for size, stride, _ in found])),
        ("right", _steps([(size, stride) for size, _, stride in found])),
    )


def _strides(shape: Shape, out: Shape) -> list[int]:
    """Elements from one to the next along each axis of the output; 0 where the input is repeated."""
    strides, stride = [], 1
    for size in reversed((1,) * (len(out) - len(shape)) + shape):
        strides.append(stride if size != 1 else 0)
        stride *= size
    return strides[::-1]


def _steps(found: list[tuple[int, int]]) -> tuple[int, ...]:
    """Strides less what the loop within has gone on, outermost first; nothing is left for an axis of one element."""
    steps, gone = [], 0
    for size, stride in found:
        steps.append(0 if size == 1 else stride - gone)
        gone = gone if size == 1 else size * stride
    return tuple(reversed(steps))
