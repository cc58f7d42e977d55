# SPDX-License-Identifier: Apache-2.0
"""How often the loops of convolutions run: of kernels/conv_2d_s8.h, its neighbours, and those of other flavours."""

from __future__ import annotations

from thimble.features.windows import Features, Parameters, groups, windows
from thimble.kernel import KernelCall

LANES = 16
"""int8 elements in a Helium vector."""
UNROLLED = 8
"""Taps in a run that GCC computes without a loop, about."""


def _finish(p: Parameters, count: int) -> Features:
    """Results, by what is left out of their requantization."""
    full = p["output.low"] == -128 and p["output.high"] == 127
    kind = "clamped" if not full else "positive" if p.get("output.positive") else "signed"
    return {f"results_{kind}": count}


def _plain_finish(p: Parameters, count: int) -> Features:
    full = p["output.low"] == -128 and p["output.high"] == 127
    kind = "clamped" if not full else "positive" if p["output.zero"] == -128 else "signed"
    return {f"results_{kind}" if p["output.quick"] else "results_slow": count}


def conv(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/conv_2d_s8.h: four filters at a time, each of the rest alone."""
    w = windows(p)
    sets = w.channels // p["filters"]
    fours, ones = sets * (p["filters"] // 4), sets * (p["filters"] % 4)
    dense = p["kernel_w"] == 1 or (p["dilation_w"] == 1 and p["in.pixel"] == p["depth"])
    run = p["kernel_w"] * p["depth"] if dense else p["depth"]
    runs = w.spans if dense else w.cells
    zero, zeros = p["in_zero"] != 0, "lows" if p["in_zero"] == -128 else "zeros"
    free = dense and "c" in w.open  # whether the compiler does not know how long a run is
    kind = "_free" if free else "_short" if run <= UNROLLED else ""
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "pixels": w.pixels,
        "over_rows": w.over_rows,
        "over_columns": w.over_columns,
        "fours": w.pixels * fours,
        "ones": w.pixels * ones,
        f"runs_fours{kind}{w.open}": runs * fours,
        f"runs_ones{kind}": runs * ones,
        f"rest_fours{kind}": runs * fours * (run % 4),
        f"macs_fours{kind}": w.cells * p["depth"] * fours,
        f"macs_ones{kind}": w.cells * p["depth"] * ones,
        f"{zeros}_fours": w.cells * p["depth"] * fours * zero,
        f"{zeros}_ones": w.cells * p["depth"] * ones * zero,
        "sums": w.cells * p["depth"] * sets * (p["weight_zero"] != 0),
        **_plain_finish(p, w.pixels * w.channels),
    }


def conv_dsp(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/conv_2d_s8_dsp.h: three pixels times two filters."""
    w = windows(p)
    tiles = w.rows * groups(w.columns, 3) if by_row else groups(w.pixels, 3)
    pairs, words = w.channels // 2, p["groups"]
    run = p["kernel_w"] * p["depth"]
    dense = p["kernel_w"] == 1 or (p["dilation_w"] == 1 and p["in.pixel"] == p["depth"])
    direct = dense and run % 4 == 0 and (p["inside"] or p["depth"] % 4 == 0)
    packed = "packed" if p["output.packed"] else "doubled"
    lines = w.pixels * w.kernel[0]
    bytes_ = w.pixels * w.taps * p["depth"]
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "pixels": w.pixels,
        "over_rows": w.over_rows,
        "over_columns": w.over_columns,
        "tiles": tiles,
        "pairs": tiles * pairs,
        "rounds": tiles * pairs * groups(words, 4),
        f"groups_{packed}": tiles * pairs * words,
        "ones": w.pixels * (w.channels % 2),
        f"ones_groups_{packed}": w.pixels * (w.channels % 2) * words,
        "spread": w.pixels * words,
        "lines_direct" if direct else "lines_copied": lines,
        "lines_inside": lines * p["inside"],
        "outside": w.pixels * w.taps * p["depth"] - w.cells * p["depth"],
        "over_cells": 0 if direct else w.over_columns * w.taps,
        "copied_words": 0 if direct else bytes_ // 4,
        "copied_bytes": 0 if direct else lines * (run % 4),
        **{f"{k}_{packed}": v for k, v in _finish(p, tiles * pairs).items()},
    }


def vector_dsp(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/fully_connected_s8_dsp.h: four rows of the matrix at a time."""
    return {"calls": 1, "spread": p["groups"], "rest": p["depth"] % 4, **_dots(p, 1, p["units"], 4, p["groups"])}


def _dots(p: Parameters, pixels: int, filters: int, block: int, words: int) -> Features:
    """`block` filters at a time over the windows that are done together, the rest alone, in rounds of four words."""
    packed = "packed" if p["output.packed"] else "doubled"
    blocks, ones = pixels * (filters // block), pixels * (filters % block)
    return {
        "started": pixels * (filters >= block),
        "rounds": blocks * groups(words, 4),
        f"groups_{packed}": blocks * words,
        "ones": ones,
        f"ones_groups_{packed}": ones * words,
        **{f"{kind}_{packed}": count for kind, count in _finish(p, blocks).items()},
    }


def pointwise_walk(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/pointwise_s8_walk_dsp.h: four filters over one pixel."""
    w = windows(p)
    calls = w.rows if by_row else 1
    return {"calls": calls, "rows": w.rows, "pixels": w.pixels, **_dots(p, w.pixels, w.channels, 4, p["groups"])}


def conv_walk(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/conv_2d_s8_walk_dsp.h: four filters over the runs of one window."""
    w = windows(p)
    lines = w.pixels * w.kernel[0]
    return {
        **pointwise_walk(call, p, by_row),
        "over_rows": w.over_rows,
        "over_columns": w.over_columns,
        "lines": lines,
        "lines_inside": lines * p["inside"],
        "runs": lines * (w.channels // 4),
        "runs_over": w.over_columns * w.kernel[0] * (w.channels // 4),
        "ones_runs": lines * (w.channels % 4),
    }


def conv_strip(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/conv_2d_s8_strip_dsp.h: two pixels times two filters, or one times four, over columns that are kept."""
    w = windows(p)
    fresh = w.kernel[1] - p["shared"]
    columns = w.pixels * fresh + w.rows * p["shared"]
    steps = w.rows * groups(w.columns, p["pixels"])
    gathered = p["depth"] % 4 != 0
    kind = "twos" if p["pixels"] == 2 else "fours"
    dots = _dots(p, steps, w.channels, 2 if p["pixels"] == 2 else 4, p["column"] * w.kernel[1])
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "pixels": w.pixels,
        "steps": steps,
        "over_rows": w.over_rows,
        "over_columns": w.over_columns,
        "columns": columns,
        "lines": 0 if gathered else columns * w.kernel[0],
        "gathered_lines": columns * w.kernel[0] * gathered,
        "gathered": columns * w.kernel[0] * p["depth"] * gathered,
        "spread": columns * p["column"],
        "moved": steps * p["column"] * p["shared"],
        **{f"{kind}_{name}": count for name, count in dots.items()},
    }


def conv_mve(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/conv_2d_s8_mve.h: three windows times two filters, or one window times four."""
    w = windows(p)
    fours, vectors = groups(w.channels, 4), groups(p["taps"], LANES)
    direct = p["taps"] == p["depth"] and p["pad_top"] == p["pad_left"] == 0
    run = p["kernel_w"] * p["depth"]
    dense = p["dilation_w"] == 1
    lines = 0 if direct else w.pixels * w.kernel[0]
    copies = {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "pixels": w.pixels,
        f"lines{w.open}": lines,
        "line_vectors": lines * groups(run, LANES),
        "cells": 0 if direct or dense else w.pixels * w.taps,
        "over_rows": 0 if direct else w.over_rows,
        "over_columns": 0 if direct else w.over_columns,
        "over_lines": 0 if direct else w.over_columns * w.kernel[0],
    }
    if w.pixels == 1:
        return {
            **copies,
            "single": 1,
            "single_vectors": fours * vectors,
            **{f"single_{k}": v for k, v in _finish(p, fours).items()},
        }
    triples = w.rows * groups(w.columns, 3) if by_row else groups(w.pixels, 3)
    return {
        **copies,
        "triples": triples,
        "chunks": triples * groups(w.channels, 16),
        "odd": triples * (w.channels % 2),
        "pairs": triples * groups(w.channels, 2),
        "vectors": triples * groups(w.channels, 2) * vectors,
        "kept": (w.rows - 1) * (w.columns % 3) * vectors * direct,
        **_finish(p, triples * fours),
    }


def depthwise(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/depthwise_conv_2d_s8.h: four channels at a time where there is one filter per channel."""
    w = windows(p)
    fours = w.channels // 4 if p["multiplier"] == 1 else 0
    ones = w.channels - 4 * fours
    zero, zeros = p["in_zero"] != 0, "lows" if p["in_zero"] == -128 else "zeros"
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "pixels": w.pixels,
        "over_rows": w.over_rows,
        "over_columns": w.over_columns,
        "fours": w.pixels * fours,
        "ones": w.pixels * ones,
        f"spans_fours{w.open}": w.spans * fours,
        f"spans_ones{w.open}": w.spans * ones,
        "cells_fours": w.cells * fours,
        "cells_ones": w.cells * ones,
        f"{zeros}_fours": w.cells * fours * zero,
        f"{zeros}_ones": w.cells * ones * zero,
        "legacy": w.cells * w.channels * (p["weight_zero"] != 0),
        **_plain_finish(p, w.pixels * w.channels),
    }


def depthwise_dsp(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/depthwise_conv_2d_s8_dsp.h: bands of some channels."""
    w, lanes = windows(p), p["lanes"]
    blocks = groups(w.channels, lanes)
    per_row = w.kernel[0] if by_row else min(w.kernel[0], w.stride[0])
    bands = blocks * ((w.rows if by_row else w.rows - 1) * per_row + (0 if by_row else w.kernel[0]))
    calls = w.rows if by_row else 1
    assembly = w.kernel == (3, 3) and w.stride[1] <= 2
    found: Features = {
        "calls": calls,
        "blocks": calls * blocks,
        "lines": blocks * w.rows,
        "bands": bands,
        f"band_pairs_{lanes}": bands * p["pairs"],
    }
    if assembly:
        kind = f"{w.stride[1]}_{next(iter(_finish(p, 1))).removeprefix('results_')}"
        rows = lanes * blocks * w.rows
        return {
            **found,
            "filters": calls * lanes * blocks,
            "lanes": rows,
            f"twos_{kind}": rows * (w.columns // 2),
            f"odds_{w.stride[1]}": rows * (w.columns % 2),
        }
    outputs = lanes * blocks * w.pixels
    return {
        **found,
        "filter_words": calls * blocks * lanes * p["filters"] * p["words"] * w.kernel[0],
        "outputs": outputs,
        "outputs_odd": outputs * (p["filters"] == 2),
        "filter_columns": outputs * p["words"],
        "products": outputs * p["words"] * w.kernel[0],
        **_finish(p, outputs),
    }


def depthwise_walk(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/depthwise_conv_2d_s8_walk_dsp.h: four channels of a pixel."""
    w = windows(p)
    fours = w.channels // 4
    over = min(w.pixels, w.over_rows + w.over_columns)
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "lines": w.rows * w.kernel[0],
        "blocks": w.rows * fours,
        "fours": w.pixels * fours,
        "taps": w.pixels * w.taps * fours,
        "window_lines": w.pixels * w.kernel[0] * fours,
        "over_lines": over * w.kernel[0] * fours,
        "over_taps": over * w.taps * fours,
        **_finish(p, w.pixels * fours),
    }


def depthwise_mve(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/depthwise_conv_2d_s8_mve.h: sixteen lanes at a time."""
    w = windows(p)
    together = _together(p, w.columns) if p["run"] > 1 else 0
    steps = w.pixels - w.rows * together * (p["run"] - 1)
    lanes = w.channels
    blocks = groups(lanes, LANES)
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        f"steps{w.open}": steps - w.rows * together,
        "together": w.rows * together,
        f"lines{w.open}": steps * w.kernel[0],
        f"cells{w.open}": steps * w.taps,
        "over": (w.over_rows + w.over_columns) * w.taps,
        "blocks": steps * blocks,
        "narrow": (steps - w.rows * together) * (lanes % LANES != 0),
        "pairs": steps * blocks * (w.taps // 2),
        "odd": steps * blocks * (w.taps % 2),
        "fill": lanes * p["run"] / LANES,
        **_finish(p, steps * blocks),
    }


def _together(p: Parameters, columns: int) -> int:
    """How often in a row so many neighbouring pixels are done together, whose taps must all be inside."""
    reach = (p["kernel_w"] - 1) * p["dilation_w"] + p["run"]
    found, x = 0, 0
    while x < columns:
        left = x * p["stride_w"] - p["pad_left"]
        inside = left >= 0 and left + reach <= p["in.width"]
        found += inside
        x += p["run"] if inside else 1
    return found


def pool(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/pool_2d.h and its neighbour: four channels at a time. Small windows that stay inside are unrolled."""
    w = windows(p)
    fours, ones = w.channels // 4, w.channels % 4
    small = "_{}x{}".format(*w.kernel) if max(w.kernel) <= 3 else ""
    size = small + w.open
    return {
        "calls": w.rows if by_row else 1,
        "rows": w.rows,
        "pixels": w.pixels,
        "over_rows": w.over_rows,
        "over_columns": w.over_columns,
        f"fours{size}": w.pixels * fours,
        f"ones{size}": w.pixels * ones,
        "spans_fours": w.spans * fours,
        "spans_ones": w.spans * ones,
        "cells_fours": w.cells * fours,
        "cells_ones": w.cells * ones,
        "clamped": w.pixels * w.channels * ((p["low"], p["high"]) != (-128, 127)),
        "divided": w.pixels * w.channels * (p.get("divides", 0) != 0),
    }


def weighted(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/weighted.h: one filter at a time."""
    over = {name.removeprefix("over."): value for name, value in p.items()}
    pixels = over["out.height"] * over["out.width"]
    outputs = pixels * over["out.channels"]
    cells = over["in.height"] * over["in.width"] * over["kernel_h"] * over["kernel_w"]
    if not over["transposed"]:
        cells = windows(over).cells
    return {
        "calls": over["out.height"] if by_row else 1,
        "pixels": pixels,
        "results": outputs,
        "cells": cells * over["out.channels"],
        "macs": cells * over["out.channels"] * over["depth"],
        "wide": outputs * over.get("wide", 0),
    }
