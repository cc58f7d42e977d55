# SPDX-License-Identifier: Apache-2.0
"""What features are counted from: parameters as a flat mapping, and the windows of convolutions and pools."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from thimble.kernel import Fields, KernelCall, View

Features = dict[str, float]
"""Counts by name; those that are 0 may be missing."""
Parameters = Mapping[str, int]
"""By dotted names, elements of arrays by their number."""
Family = Callable[[KernelCall, Parameters, bool], Features]
"""The counts of a call; the last argument says whether it is made row by row."""


def flat(fields: Fields, prefix: str = "") -> Iterator[tuple[str, int]]:
    """A kernel's parameters by dotted names."""
    for name, value in fields:
        if not isinstance(value, tuple):
            yield prefix + name, int(value) if math.isfinite(value) else 0
            continue
        for index, part in enumerate(value):
            if isinstance(part, tuple):  # a member of a struct
                yield from flat((part,), f"{prefix}{name}.")
            else:
                assert isinstance(part, int | float)
                yield f"{prefix}{name}.{index}", int(part)


def product(p: Parameters, name: str) -> int:
    """Of an array's elements."""
    found, index = 1, 0
    while f"{name}.{index}" in p:
        found *= p[f"{name}.{index}"]
        index += 1
    return found


def groups(count: int, size: int) -> int:
    """Groups of so many, the last one perhaps smaller."""
    return -(-count // size)


def elements(views: Sequence[View]) -> int:
    """How many elements the parts of tensors have."""
    return sum(view.nbytes // view.itemsize for view in views)


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a convolution or a pool over an image.

    Attributes:
        rows, columns, channels: of the output.
        kernel, stride: (rows, columns).
        cells: taps inside the image, of all windows together.
        spans: rows of windows that have any.
        over_rows, over_columns: windows that leave the image at the top or bottom, and at a side.
        open: "" where none does, else which loops over taps have no constant length: "_r" for rows, "_c" for columns.
    """

    rows: int
    columns: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    cells: int
    spans: int
    over_rows: int
    over_columns: int
    open: str

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]


def windows(p: Parameters) -> Windows:
    """The windows that a kernel's parameters describe; without `kernel_h` they are single cells."""
    kernel = (p.get("kernel_h", 1), p.get("kernel_w", 1))
    stride = (p["stride_h"], p["stride_w"])
    dilation = (p.get("dilation_h", 1), p.get("dilation_w", 1))
    pads = (p.get("pad_top", 0), p.get("pad_left", 0))
    before, after = ((p[f"{side}.height"], p[f"{side}.width"]) for side in ("in", "out"))
    down, across = (list(_taps(*axis)) for axis in zip(after, before, kernel, stride, dilation, pads, strict=True))
    full = down.count(kernel[0]), across.count(kernel[1])
    return Windows(
        *after,
        p["out.channels"],
        kernel,
        stride,
        sum(down) * sum(across),
        sum(down) * len(across),
        (after[0] - full[0]) * after[1],
        after[0] * (after[1] - full[1]),
        "_" * (full != after) + "r" * (full[0] < after[0]) + "c" * (full[1] < after[1]),
    )


def _taps(outputs: int, size: int, kernel: int, stride: int, dilation: int, pad: int) -> Iterator[int]:
    """Taps inside, per place of a window along one axis."""
    for at in range(outputs):
        start = at * stride - pad
        first = -(start // dilation) if start < 0 else 0
        yield max(0, min(kernel, groups(size - start, dilation)) - first)
