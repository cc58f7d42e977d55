# SPDX-License-Identifier: Apache-2.0
"""MIRROR_PAD: the input with its own reflection around it, as wide as operand 1 says."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from thimble.ir import Attrs, Shape, Tensor, require
from thimble.kernel import KernelCall, Site
from thimble.ops.movement import NARROW, moved, shaped
from thimble.ops.numerics import Array, Call
from thimble.ops.shapes import integers, operand, padded
from thimble.ops.strided import block, constant_numbers, copies


class MirrorPadMode(enum.Enum):
    """Whether the reflection repeats the border; values follow the schema's MirrorPadMode."""

    REFLECT = 0
    SYMMETRIC = 1


@dataclass(frozen=True, slots=True)
class MirrorPad(Attrs):
    """Operand 1 holds `[rank,2]`: how many elements to add before and after, along each axis."""

    OP: ClassVar[str] = "MIRROR_PAD"
    OPTIONS: ClassVar[str] = "MirrorPadOptions"
    mode: MirrorPadMode = MirrorPadMode.REFLECT

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        x, pads = operand(inputs, 0, "input").shape, integers(operand(inputs, 1, "paddings"))
        if pads is None:
            return None
        output = padded(x, pads)
        most = [d if self.mode is MirrorPadMode.SYMMETRIC else d - 1 for d in x for _ in range(2)]
        fits = all(p == 0 or p <= limit for p, limit in zip(pads, most, strict=True))
        require(fits, f"paddings {list(pads)} of {list(x)} are larger than what there is to reflect")
        return (output,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `copy.h`, `strided_copy.h`."""
        x, output, pads = site.tensor(0), site.outputs[0], constant_numbers(site, 1)
        inside = block(output)
        for axis, extent in enumerate(x.shape):
            inside = inside.part(axis, pads[2 * axis], extent)
        calls = copies(site, block(x), inside)
        for axis in reversed(range(len(x.shape))):
            calls += self._reflected(site, axis, x.shape, pads)
        return calls

    def _reflected(self, site: Site, axis: int, shape: Shape, pads: tuple[int, ...]) -> tuple[KernelCall, ...]:
        """Both borders of an axis from what is already there: the inside, with the borders of the axes behind it."""
        there = block(site.outputs[0])
        for other in range(axis):
            there = there.part(other, pads[2 * other], shape[other])
        before, after, extent = pads[2 * axis], pads[2 * axis + 1], shape[axis]
        again = int(self.mode is MirrorPadMode.SYMMETRIC)  # the border itself is repeated
        ends = ((0, before, 2 * before - again), (before + extent, after, before + extent - 2 + again))
        return tuple(
            call
            for first, count, source in ends
            for call in copies(site, there.part(axis, source, count, -1), there.part(axis, first, count))
        )

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Reflections on all sides.

        Source: MirrorPadEval, tensorflow/lite/micro/kernels/mirror_pad.cc.
        """
        pads = [(int(before), int(after)) for before, after in call.value(1)]
        mode: Literal["symmetric", "reflect"] = "symmetric" if self.mode is MirrorPadMode.SYMMETRIC else "reflect"
        return shaped(call, np.pad(moved(call, self.OP, NARROW), pads, mode))
