# SPDX-License-Identifier: Apache-2.0
"""Pictures: bytes per operator as stacked bars, and the arena over time."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thimble.errors import OptionError
from thimble.files import write_atomically
from thimble.ir import Model
from thimble.mapping import MemoryMap, OperatorMemory
from thimble.units import human

if TYPE_CHECKING:
    from thimble.tflm import Allocation

_COLOURS = {"input": "#4477aa", "output": "#66ccee", "other": "#ccbb44", "scratch": "#aa3377"}
_PEAK = "#cc3311"
_LETTERS = 110  # small letters side by side across a picture of the least width


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "thimble"  # the same picture gives the same bytes
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _width(steps: int) -> float:
    """Inches: room for a label per operator in a short model, a screen's width for a long one."""
    return min(18.0, max(9.0, 0.28 * steps))


def _save(figure: Any, path: Path) -> None:
    kind = path.suffix.lstrip(".").lower()
    if kind not in ("png", "svg"):
        raise OptionError(f"{path}: a picture is a .png or .svg file")
    data = io.BytesIO()
    figure.savefig(data, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    write_atomically(path, data.getvalue())


def _bytes_axis(axis: Any, largest: int) -> None:
    """Ticks at multiples of a power of two, four to eight of them, in binary units."""
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    axis.set_major_locator(MultipleLocator(1 << max(0, (max(1, largest) // 8).bit_length())))
    axis.set_major_formatter(FuncFormatter(lambda value, _: human(int(value))))


def draw_bars(memory: MemoryMap, title: str, path: Path) -> None:
    """Input, output, other and scratch bytes per operator in execution order; the peak is marked.

    Up to 60 operators each bar carries its operator's name, beyond that its index. Source: the figures of
    Sudharsan et al., ECML PKDD 2021.
    """
    rows = memory.operators
    figure, axes = _figure(_width(len(rows)), 6.5)
    places = np.arange(len(rows))
    base = np.zeros(len(rows))
    for part, colour in _COLOURS.items():
        heights = np.array([getattr(row, f"{part}_bytes") for row in rows], dtype=float)
        if heights.any() or part != "scratch":
            axes.bar(places, heights, bottom=base, width=0.9 if len(rows) < 200 else 1.0, color=colour, label=part)
        base = base + heights
    peak = memory.peak
    if peak is not None:
        _mark_peak(axes, peak, len(rows))
    _label_operators(axes, rows)
    axes.set_ylabel("bytes while the operator runs")
    axes.set_title(f"{title}: memory per operator, in execution order")
    axes.set_xlim(-0.6, max(0.6, len(rows) - 0.4))
    axes.set_ylim(0, max(1.0, base.max(initial=0) * 1.14))
    axes.margins(y=0)
    _bytes_axis(axes.yaxis, memory.peak_bytes)
    axes.legend(loc="upper right", frameon=False, ncols=4)
    _save(figure, path)


def _mark_peak(axes: Any, peak: OperatorMemory, count: int) -> None:
    axes.axhline(peak.total_bytes, color=_PEAK, linewidth=0.8, linestyle="--", zorder=0)
    left = peak.step < count / 2
    axes.annotate(
        f"peak {peak.total_bytes:,} B ({human(peak.total_bytes)}): {peak.kind} #{peak.op}",
        xy=(peak.step, peak.total_bytes),
        xytext=(4 if left else -4, 5),
        textcoords="offset points",
        ha="left" if left else "right",
        color=_PEAK,
        fontsize=9,
    )
    axes.plot([peak.step], [peak.total_bytes], marker="v", color=_PEAK, markersize=7, clip_on=False)


def _label_operators(axes: Any, rows: tuple[OperatorMemory, ...]) -> None:
    if len(rows) <= 60:
        labels = [f"{row.op} {row.kind}" for row in rows]
        axes.set_xticks(range(len(rows)), labels, rotation=90, fontsize=7)
    else:
        axes.set_xlabel("operator, in execution order")


def draw_arena(model: Model, target: str | None, path: Path) -> None:
    """Memory over time: each block a rectangle from its first to its last step, at its offset in TFLM's arena."""
    from thimble.target import target_named
    from thimble.tflm import predict

    allocation = predict(model, target_named(target or "host"))
    steps = max((block.last for block in allocation.plan), default=0) + 1
    figure, axes = _figure(_width(steps), 6.5)
    _draw_blocks(axes, model, allocation, steps)
    axes.axhline(allocation.nonpersistent_bytes, color=_PEAK, linewidth=0.8, linestyle="--")
    axes.set_title(
        f"{model.name}: the arena as TFLM lays it out ({target or 'host'} kernels), "
        f"{allocation.nonpersistent_bytes:,} B ({human(allocation.nonpersistent_bytes)})"
    )
    axes.set_xlim(0, steps)
    axes.set_ylim(0, max(1, allocation.nonpersistent_bytes) * 1.05)
    axes.set_xlabel("step (0: the caller fills the inputs)")
    axes.set_ylabel("offset in the arena")
    _bytes_axis(axes.yaxis, allocation.nonpersistent_bytes)
    _save(figure, path)


def _names(model: Model) -> dict[tuple[int, int | None], str]:
    """What a tensor's rectangle is labelled with: the operator that writes it, by its index and kind."""
    names: dict[tuple[int, int | None], str] = {}
    for index, graph in enumerate(model.graphs):
        names.update({(index, tensor): "input" for tensor in graph.inputs})
        names.update({(index, tensor): f"{op.id} {op.kind.split('_')[0]}" for op in graph.ops for tensor in op.outputs})
    return names


def _draw_blocks(axes: Any, model: Model, allocation: Allocation, steps: int) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colours = colormaps["tab20"]
    names = _names(model)
    height = max(1, allocation.nonpersistent_bytes)
    for place, block in enumerate(allocation.plan):
        width = block.last + 1 - block.first
        scratch = block.tensor is None
        face = _COLOURS["scratch"] if scratch else colours(place % 20)
        axes.add_patch(
            Rectangle((block.first, block.offset), width, block.size, facecolor=face, edgecolor="white", linewidth=0.5)
        )
        if width / steps > 0.045 and block.size / height > 0.035:
            middle = (block.first + width / 2, block.offset + block.size / 2)
            index, _, kind = names.get((block.graph, block.tensor), "scratch").partition(" ")
            text = f"{index}\n{kind}" if 0 < len(kind) < _LETTERS * width / steps else index
            axes.text(*middle, text, ha="center", va="center", fontsize=7)
