# SPDX-License-Identifier: Apache-2.0
"""Picture of placements: latency and energy of each pair of memories and of the best placement, relative to one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thimble.errors import OptionError
from thimble.files import write_atomically

_LATENCY, _ENERGY, _BEST = "#4477aa", "#ccbb44", "#eef3ee"


@dataclass(frozen=True, slots=True)
class Bar:
    """A pair of bars: what it is, and latency and energy relative to the reference."""

    label: str
    latency: float
    energy: float


def draw_placements(title: str, reference: str, bars: Sequence[Bar], path: Path) -> None:
    """Two bars per placement, the last placement (the best one) on a shaded ground, a line at 1.

    Source: the figure of relative latency and energy in Ambiq's article on Apollo4 Plus.

    Raises:
        OptionError: neither .png nor .svg.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    kind = path.suffix.lstrip(".").lower()
    if kind not in ("png", "svg"):
        raise OptionError(f"{path}: a picture is a .png or .svg file")
    mpl.rcParams["svg.hashsalt"] = "thimble"
    figure = Figure(figsize=(min(24.0, max(7.0, 1.3 * len(bars) + 1.5)), 5.0), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(bars))
    highest = max(max(bar.latency, bar.energy) for bar in bars)
    axes.axvspan(len(bars) - 1.5, len(bars) - 0.5, color=_BEST, zorder=0)
    for shift, colour, name in ((-0.2, _LATENCY, "latency"), (0.2, _ENERGY, "energy")):
        heights = [getattr(bar, name) for bar in bars]
        drawn = axes.bar(places + shift, heights, width=0.38, color=colour, label=name, zorder=2)
        axes.bar_label(drawn, fmt="%.2f", fontsize=7, padding=1)
    axes.axhline(1.0, color="#666666", linewidth=0.8, linestyle="--", zorder=1)
    axes.set_xticks(places, [bar.label for bar in bars], fontsize=8, rotation=0 if len(bars) <= 14 else 60)
    axes.set_xlabel("W: memory of the weights, A: of the activations")
    axes.set_xlim(-0.6, len(bars) - 0.4)
    axes.set_ylim(0, highest * 1.22)
    axes.set_ylabel(f"relative to {reference}")
    axes.set_title(title, fontsize=11)
    axes.legend(loc="upper right", frameon=False, ncols=2)
    data = io.BytesIO()
    figure.savefig(data, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
    write_atomically(path, data.getvalue())
