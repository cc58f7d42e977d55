# SPDX-License-Identifier: Apache-2.0
"""Lowering of PAD, PADV2 and of the operators that pad with zero points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import DType, Rows, Tensor
from thimble.kernel import Fields, KernelCall, Site, whole
from thimble.ops.lowering import image
from thimble.ops.movement import same_quant
from thimble.ops.numerics import quant_of
from thimble.ops.rows import is_image
from thimble.ops.shapes import integers, operand
from thimble.ops.strided import block, constant_numbers, copies, filled, item_bytes, value_fields

LEVELS = 3
"""Of `pad.h`."""
LONGEST = 4
"""Bytes of the longest value that kernels take among their parameters."""


@dataclass(frozen=True, slots=True)
class Level:
    """`extent` times the next level, with bytes before and behind. The last level's extent is a run of bytes."""

    extent: int
    before: int
    after: int


def levels_of(x: Tensor, pads: tuple[int, ...]) -> tuple[Level, ...]:
    """Nested levels of a padded tensor, outermost first: an axis without padding is part of the one before it."""
    size, found = x.dtype.bits // 8, [Level(x.dtype.bits // 8, 0, 0)]
    for axis in reversed(range(len(x.shape))):
        extent, before, after = x.shape[axis], pads[2 * axis], pads[2 * axis + 1]
        if found[0].before == found[0].after == 0:
            found[0] = Level(extent * found[0].extent, before * size, after * size)
        elif extent != 1 or before or after:
            found.insert(0, Level(extent, before * size, after * size))
        size *= before + extent + after
    return tuple(found)


def padded_rows(inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
    """Of PAD and PADV2 with values that are known: a row of the input for each of its rows, none for those around."""
    x, pads = operand(inputs, 0, "input"), integers(operand(inputs, 1, "paddings"))
    given = [t for t in inputs[2:] if t is not None]
    known = all(t.data is not None and t.dtype.bits <= 8 * LONGEST for t in given)
    if pads is None or any(pads[:2]) or not is_image(x) or not known:
        return None
    height, top = x.shape[1], pads[2]
    rows = ((min(max(0, y - top), height), min(max(0, y - top + 1), height)) for y in range(output.shape[1]))
    return (tuple(rows), *[None] * (len(inputs) - 1))


def _row_call(site: Site, pads: tuple[int, ...], value: bytes) -> KernelCall:
    """An image row by row. Kernel: `pad_rows.h`."""
    x, output = site.tensor(0), site.outputs[0]
    _, height, width, channels = x.shape
    size = x.dtype.bits // 8
    in_pieces = pads[6] or pads[7]
    fields: Fields = (
        ("in", image((height, width, channels * size))),
        ("out", image((*output.shape[1:3], output.shape[3] * size))),
        ("pad_top", pads[2]),
        ("before", (pads[4] * output.shape[3] * size, pads[6] * size)),
        ("after", (pads[5] * output.shape[3] * size, pads[7] * size)),
        ("pieces", width if in_pieces else 1),
        ("run", channels * size * (1 if in_pieces else width)),
        *value_fields(value),
    )
    rows, name = output.shape[1], "pad_rows"
    return KernelCall(name, f"{name}.h", whole(x), whole(output), struct=name, fields=fields, rows=rows)


def padded_calls(site: Site) -> tuple[KernelCall, ...]:
    """PAD and PADV2. Kernels: `pad.h`, row by row `pad_rows.h`; `strided_copy.h` for many axes, values of run time."""
    x, output, pads = site.tensor(0), site.outputs[0], constant_numbers(site, 1)
    item_bytes(site, output, x, *(() if site.optional(2) is None else (site.tensor(2),)))
    value, levels = padding_value(site), levels_of(x, pads)
    if not output.nbytes:
        return ()
    if site.by_row and value is not None:
        return (_row_call(site, pads, value),)
    if value is None or len(levels) > LEVELS or not x.nbytes:
        inside = block(output)
        for axis, extent in enumerate(x.shape):
            inside = inside.part(axis, pads[2 * axis], extent)
        return *everywhere(site, value), *copies(site, block(x), inside)
    unused = LEVELS - len(levels)
    fields: Fields = (
        ("before", (0,) * unused + tuple(level.before for level in levels)),
        ("after", (0,) * unused + tuple(level.after for level in levels)),
        ("extent", (1,) * unused + tuple(level.extent for level in levels[:-1])),
        ("run", levels[-1].extent),
        *value_fields(value),
    )
    return (KernelCall("pad", "pad.h", whole(x), whole(output), struct="pad", fields=fields),)


def everywhere(site: Site, value: bytes | None) -> tuple[KernelCall, ...]:
    """The output full of one value: a known one, or without it what operand 2 is at run time."""
    output = site.outputs[0]
    if value is not None:
        return filled(output, value)
    scalar = block(site.tensor(2), (1,) * len(output.shape))
    return copies(site, scalar.broadcast(output.shape), block(output))


def padding_value(site: Site) -> bytes | None:
    """The element to pad with; None where it is known at run time only, or too long to be a parameter."""
    output, given = site.outputs[0], site.optional(2)
    if given is None:
        return zero_bytes(output)
    if output.dtype in (DType.INT8, DType.UINT8) and not same_quant(given, output):
        raise site.unsupported("a padding value in another scale than the output")
    value = None if given.data is None else given.data[: output.dtype.bits // 8]
    return value if value is not None and (len(value) <= LONGEST or len(set(value)) == 1) else None


def zero_bytes(tensor: Tensor) -> bytes:
    """What stands for 0 around a tensor: the zero point where elements have 8 bits, else zeros."""
    if tensor.dtype in (DType.INT8, DType.UINT8):
        return np.array(quant_of(tensor).zero_point[0], tensor.dtype.label).tobytes()
    return bytes(tensor.dtype.bits // 8)
