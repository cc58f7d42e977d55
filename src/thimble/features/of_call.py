# SPDX-License-Identifier: Apache-2.0
"""What a kernel call's instructions depend on, counted from its parameters: how often each of its loops runs.

The names are those of the table in `costs/kernels.toml`, which says what one of each takes. A kernel's loops are
those in its header; loops that a compiler unrolls or leaves out for some parameters are counted apart.
"""

from __future__ import annotations

from thimble.features import convolutions
from thimble.features.windows import Family, Features, Parameters, elements, flat, groups, product
from thimble.kernel import KernelCall

TABLE_BYTES = 1024
"""Constants up to this size may be tables, of which each element is not used once per pixel."""
SHORT = 64
"""Bytes that GCC copies without calling a function. Source: arm_block_copy and gen_cpymem_* of GCC's Arm back end."""
UNROLLED = 32
"""Bytes of which it makes no loop either, about."""


def features_of(call: KernelCall, *, by_row: bool = False) -> Features:
    """The counts of one call, or with `by_row` of calls for one row each that compute the same together."""
    p = dict(flat(call.fields))
    found = _family(call, p)(call, p, by_row)
    return {name: float(count) * call.batch for name, count in found.items() if count}


def rough_features(call: KernelCall) -> Features:
    """The counts that any kernel has; `macs` as if all pixels of an image were made by all of the largest constant."""
    p = dict(flat(call.fields))
    weights = max((len(constant.data) for constant in call.constants), default=0)
    pixels = p.get("out.height", 0) * p.get("out.width", 0) if "kernel_h" in p else 1
    found = {**_each(call, p, False), "macs": pixels * weights * (weights > TABLE_BYTES)}
    return {name: float(count) * call.batch for name, count in found.items()}


def _family(call: KernelCall, p: Parameters) -> Family:
    """How the kernel's loops are counted: by its parameters' type."""
    for struct, needed, family in _FAMILIES:
        if call.struct.startswith(struct) and needed in p:
            return family
    return _each


def _resize(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    rows, pixels = p["out.height"], p["out.height"] * p["out.width"]
    size = f"results_{call.writes[0].itemsize}"
    return {"calls": rows if by_row else 1, "rows": rows, "pixels": pixels, size: pixels * p["out.channels"]}


def _moved(name: str, count: int, size: int, odd: bool) -> Features:
    """Pieces of so many bytes that are copied; compilers copy short ones in line, `odd` ones are not of whole words."""
    kind = f"{name}_{'unrolled' if size <= UNROLLED else 'short' if size <= SHORT else 'long'}{'_odd' * odd}"
    return {
        kind: count,
        f"{kind}_blocks": count * (size // 16),
        f"{kind}_words": count * (size % 16 // 4),
        f"{kind}_bytes": count * (size % 4),
    }


def _copy(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    odd = (call.reads[0].offset | call.writes[0].offset) % 4 != 0
    return {"calls": 1, **_moved("pieces", 1, p["bytes"], odd)}


def _runs(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/strided_copy.h: pieces at regular distances."""
    inner = {name.removeprefix("inner."): value for name, value in p.items()}
    pieces, lines = product(p, "extent"), product(p, "extent") // max(1, inner["extent.2"])
    if "inner.run" in p:
        lines *= product(p, "inner.extent")
        pieces *= product(p, "inner.extent")
    if inner["run"] == inner["item"]:
        kind = "repeated" if inner["in.2"] == 0 else "items"
        return {"calls": 1, "lines": lines, f"{kind}_{inner['item']}": pieces}
    offsets = (v for name, v in p.items() if ".in." in f".{name}" or ".out." in f".{name}")
    odd = any(v % 4 for v in (*offsets, call.reads[0].offset, call.writes[0].offset))
    return {"calls": 1, "lines": lines, **_moved("pieces", pieces, inner["run"], odd)}


def _pad(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/pad.h: pieces with values between them."""
    pieces = product(p, "extent")
    sizes = {level: (p[f"before.{level}"], p[f"after.{level}"]) for level in range(3)}
    counts = {0: 1, 1: p["extent.0"], 2: pieces}
    fills = [(counts[level], size) for level, pair in sizes.items() for size in pair if size]
    odd = any(size % 4 for _, size in (*fills, (1, p["run"])))
    return {
        "calls": 1,
        "lines": p["extent.0"],
        **_moved("pieces", pieces, p["run"], odd),
        "fills": sum(n for n, size in fills if size > 4),
        "fills_short": sum(n for n, size in fills if size <= 4),
        "filled": sum(n * size for n, size in fills),
    }


def _pairs(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/pairs.h: elements of two operands, of which one may be repeated."""
    count, inner = product(p, "over.size"), p["over.size.4"]
    alone = "alone" if p["over.left.4"] == 0 or p["over.right.4"] == 0 else "written"
    factors = (p.get(name, 0) for name in ("left", "right", "out.scale.multiplier", "a.scale.multiplier"))
    powers = sum(factor > 0 and factor & (factor - 1) == 0 for factor in factors)
    leans = "_leaning" * (p.get("lean", 0) != 0)
    return {"calls": 1, "turns": count // max(1, inner), f"{alone}_{powers}{leans}": count}


def _reduction(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    kept, gone = product(p, "axes.kept"), product(p, "axes.gone")
    return {"calls": 1, "kept": kept, "turns": kept * (gone // max(1, p["axes.gone.2"])), "joined": kept * gone}


def _products(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/batch_matmul.h: an inner product per result."""
    rows = p["shape.batches"] * p["shape.rows"]
    return {
        "calls": 1,
        "rows": rows,
        "results": rows * p["shape.columns"],
        "macs": rows * p["shape.columns"] * p["shape.depth"],
    }


def _gather(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/gather.h: pieces at positions that are read."""
    pieces = p["sets"] * p["outer"] * p["count"]
    if p["run"] == p["item"]:
        return {"calls": 1, "positions": pieces * p["depth"], "items": pieces}
    return {"calls": 1, "positions": pieces * p["depth"], **_moved("pieces", pieces, p["run"], p["run"] % 4 != 0)}


def _softmax(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    return {"calls": 1, "rows": p["rows"], "written": elements(call.writes)}


def _lstm(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    units, depth = p["shape.units"], p["shape.depth"]
    moments = p["shape.sequences"] * p["shape.moments"]
    wide = "_wide" if p.get("wide") else ""
    return {
        "calls": 1,
        "moments": moments,
        f"units{wide}": moments * units,
        f"products{wide}": moments * 4 * units * (depth + units),
        "groups": moments * 4 * units * (groups(depth, 4) + groups(units, 4)),
    }


def _svdf(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    p = {name.removeprefix("svdf."): value for name, value in p.items()}
    units = p["shape.units"] * p["shape.batches"]
    filters, depth, steps = units * p["shape.rank"], p["shape.depth"], p["shape.steps"]
    wide = "_wide" if p.get("wide") else ""
    return {
        "calls": 1,
        "units": units,
        "filters": filters,
        "products": filters * depth,
        "groups": filters * groups(depth, 4),
        f"remembered{wide}": filters * steps,
    }


def _each(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """What is known of any kernel: how many elements it reads and writes."""
    turns = call.batch if call.moves else 1  # the call is for one run of its tensors
    return {"calls": 1, "written": elements(call.writes) // turns, "read": elements(call.reads) // turns}


def _clamp(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/clamp.h: with the whole range as bounds it is less."""
    half = p["offset"] == 0 and (p["low"] == -128 or p["high"] == 127)
    kind = "flipped" if p["high"] - p["low"] == 255 else "halved" if half else "bounded"
    return {"calls": 1, f"{kind}{p['slope']}": p["count"]}


def _fill(call: KernelCall, p: Parameters, by_row: bool) -> Features:
    """kernels/fill.h: bytes, by how many are written at once."""
    return {"calls": 1, f"bytes_{p['item']}": p["bytes"]}


_FAMILIES: tuple[tuple[str, str, Family], ...] = (
    ("conv_2d_s8_dsp", "groups", convolutions.conv_dsp),
    ("conv_2d_s8_strip", "column", convolutions.conv_strip),
    ("conv_2d_s8_walk", "cell", convolutions.conv_walk),
    ("pointwise_s8_walk", "groups", convolutions.pointwise_walk),
    ("fully_connected_s8_dsp", "groups", convolutions.vector_dsp),
    ("conv_2d_s8_mve", "taps", convolutions.conv_mve),
    ("conv_2d_s8", "filters", convolutions.conv),
    ("depthwise_conv_2d_s8_dsp", "lanes", convolutions.depthwise_dsp),
    ("depthwise_conv_2d_s8_walk", "in_zero", convolutions.depthwise_walk),
    ("depthwise_conv_2d_s8_mve", "run", convolutions.depthwise_mve),
    ("depthwise_conv_2d_s8", "multiplier", convolutions.depthwise),
    ("weighted", "over.in.height", convolutions.weighted),
    ("pool_2d", "pad_top", convolutions.pool),
    ("resize", "out.height", _resize),
    ("copy", "bytes", _copy),
    ("strided_copy", "extent.2", _runs),
    ("pad", "extent.1", _pad),
    ("fill", "bytes", _fill),
    ("clamp", "slope", _clamp),
    ("reduce", "axes.kept.0", _reduction),
    ("softmax", "rows", _softmax),
    ("gather", "outer", _gather),
    ("l", "rows", _softmax),
    ("lstm", "shape.units", _lstm),
    ("svdf", "shape.units", _svdf),
    ("svdf", "svdf.shape.units", _svdf),
    ("batch_matmul", "shape.columns", _products),
    ("", "over.size.4", _pairs),
)
"""Of parameters' types, the beginning of their name and a member that they must have."""
