# SPDX-License-Identifier: Apache-2.0
"""Pictures: bytes per operator as stacked bars, the arena over time, the price of memory, and how many models fit."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thimble.errors import OptionError
from thimble.files import write_atomically
from thimble.ir import Model
from thimble.mapping import MemoryMap, OperatorMemory
from thimble.units import human

if TYPE_CHECKING:
    from thimble.climb import Step
    from thimble.fitrate import Needs
    from thimble.front import Point
    from thimble.tflm import Allocation

_COLOURS = {"input": "#4477aa", "output": "#66ccee", "other": "#ccbb44", "scratch": "#aa3377"}
_PEAK = "#cc3311"
_LETTERS = 110  # small letters side by side across a picture of the least width


def _figure(steps: int, rows: int) -> tuple[Any, list[Any]]:
    """A figure of `rows` pictures one above the other, wide enough for `steps` operators."""
    wide = min(18.0, max(9.0, 0.28 * steps))  # inches: a label per operator, up to a screen's width
    figure = _plain_figure(wide, 6.5 if rows == 1 else 5.5 * rows)
    return figure, [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]


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


def draw_bars(title: str, maps: Sequence[MemoryMap], path: Path) -> None:
    """Input, output, other and scratch bytes per operator in execution order; the peak is marked.

    Up to 60 operators each bar carries its operator's name, beyond that its index. Several maps of one graph stand
    one above the other, to the same scale. Source: the figures of Sudharsan et al., ECML PKDD 2021.
    """
    figure, pictures = _figure(len(maps[0].operators), len(maps))
    largest = max(memory.peak_bytes for memory in maps)
    for axes, memory in zip(pictures, maps, strict=True):
        _draw_map(axes, memory, largest)
        order = "in the shipped order" if memory.schedule.method == "shipped" else "in the best order"
        axes.set_title(f"{title}: memory per operator, {order}")
    _save(figure, path)


def _draw_map(axes: Any, memory: MemoryMap, largest: int) -> None:
    rows = memory.operators
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
    axes.set_xlim(-0.6, max(0.6, len(rows) - 0.4))
    axes.set_ylim(0, max(1.0, largest * 1.14))
    _bytes_axis(axes.yaxis, largest)
    axes.legend(loc="upper right", frameon=False, ncols=4)


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


def draw_arena(model: Model, steps: Sequence[Step], path: Path) -> None:
    """Memory over time: each block a rectangle from its first to its last step, at its offset in TFLM's arena."""
    last = max((block.last for step in steps for block in step.allocation.plan), default=0) + 1
    largest = max(1, *(step.allocation.nonpersistent_bytes for step in steps))
    figure, pictures = _figure(last, len(steps))
    for axes, step in zip(pictures, steps, strict=True):
        height = step.allocation.nonpersistent_bytes
        _draw_blocks(axes, model, step.allocation, last, largest)
        axes.axhline(height, color=_PEAK, linewidth=0.8, linestyle="--")
        axes.set_title(
            f"{model.name}: TFLM's arena, rung {step.rung.rung} ({step.rung.name}), {height:,} B ({human(height)})"
        )
        axes.set_xlim(0, last)
        axes.set_ylim(0, largest * 1.05)
        axes.set_xlabel("step (0: the caller fills the inputs)")
        axes.set_ylabel("offset in the arena")
        _bytes_axis(axes.yaxis, largest)
    _save(figure, path)


def _names(model: Model) -> dict[tuple[int, int | None], str]:
    """What a tensor's rectangle is labelled with: the operator that writes it, by its index and kind."""
    names: dict[tuple[int, int | None], str] = {}
    for index, graph in enumerate(model.graphs):
        names.update({(index, tensor): "input" for tensor in graph.inputs})
        names.update({(index, tensor): f"{op.id} {op.kind.split('_')[0]}" for op in graph.ops for tensor in op.outputs})
    return names


def _draw_blocks(axes: Any, model: Model, allocation: Allocation, steps: int, height: int) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    colours = colormaps["tab20"]
    names = _names(model)
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


def draw_front(title: str, points: Sequence[Point], path: Path) -> None:
    """Arena against every price that is known: multiply-accumulates, instructions, flash. A point per rung.

    Rungs on the front are joined; the others are hollow.
    """
    prices: dict[str, list[float | None]] = {
        "multiply-accumulates, relative to the model's": [1 + p.rung.extra_macs_ratio for p in points],
        "instructions per inference": [p.instructions for p in points],
        "bytes of flash": [p.compiled.flash_bytes for p in points],
    }
    known = {what: values for what, values in prices.items() if any(value is not None for value in values)}
    figure = _plain_figure(5.2 * len(known), 4.6)
    largest = max((p.compiled.arena_bytes for p in points), default=0)
    for place, (what, values) in enumerate(known.items()):
        axes = figure.add_subplot(1, len(known), place + 1)
        pairs = [(value, p) for value, p in zip(values, points, strict=True) if value is not None]
        _draw_price(axes, pairs)
        axes.set_xlabel(what)
        axes.set_ylabel("bytes of arena")
        axes.set_ylim(0, max(1.0, largest * 1.12))
        _bytes_axis(axes.yaxis, largest)
    figure.suptitle(f"{title}: memory and what it costs, by rung")
    _save(figure, path)


def _draw_price(axes: Any, pairs: Sequence[tuple[float, Point]]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    front = [(value, p.compiled.arena_bytes) for value, p in pairs if p.on_front]
    axes.plot([x for x, _ in front], [y for _, y in front], color=_COLOURS["input"], linewidth=0.8)
    taken: dict[tuple[float, int], list[str]] = {}
    for value, point in sorted(pairs, key=lambda pair: pair[1].on_front):  # full ones above hollow ones
        face = _COLOURS["input"] if point.on_front else "white"
        axes.plot([value], [point.compiled.arena_bytes], marker="o", color=_COLOURS["input"], markerfacecolor=face)
        taken.setdefault((value, point.compiled.arena_bytes), []).append(str(point.rung.rung))
    for place, numbers in taken.items():
        axes.annotate(", ".join(numbers), xy=place, xytext=(6, 5), textcoords="offset points", fontsize=9)
    least, most = min((value for value, _ in pairs), default=0), max((value for value, _ in pairs), default=1)
    room = max((most - least) * 0.12, most * 0.02)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.6g}" if most < 1e6 else f"{value / 1e6:g} M")
    )
    axes.set_xlim(least - room, most + room)


def draw_rates(found: Sequence[Needs], sizes: Sequence[int], path: Path) -> None:
    """Share of the models that fit each size after each rung; CEVA's published shares as lines beside."""
    from thimble.fitrate import PUBLISHED, RUNGS, share
    from thimble.ladder import NAMES

    figure = _plain_figure(5.2 * len(sizes), 4.6)
    for place, size in enumerate(sizes):
        axes = figure.add_subplot(1, len(sizes), place + 1)
        shares = [100 * share(found, rung, size) for rung in RUNGS]
        bars = axes.bar(RUNGS, shares, color=_COLOURS["input"])
        axes.bar_label(bars, fmt="%.0f %%", fontsize=8)
        for part, line in zip(PUBLISHED.get(size, ()), (":", "--"), strict=False):
            after = "after" if line == "--" else "before"
            axes.axhline(100 * part, color=_PEAK, linewidth=0.9, linestyle=line, label=f"CEVA, {after}: {part:.0%}")
        axes.set_xticks(RUNGS, [f"{rung}\n{NAMES[rung]}" for rung in RUNGS], fontsize=8)
        axes.set_ylim(0, 109)
        axes.set_ylabel("% of models")
        axes.set_title(f"weights and activations within {human(size)}")
        if size in PUBLISHED:
            axes.legend(loc="lower right", fontsize=8)
    _save(figure, path)


def _plain_figure(wide: float, high: float) -> Any:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "thimble"  # the same picture gives the same bytes
    return Figure(figsize=(wide, high), layout="constrained")
