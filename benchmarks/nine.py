# SPDX-License-Identifier: Apache-2.0
"""What reordering alone gives on the nine models of Sudharsan et al. (ECML PKDD 2021), and what rungs 1 and 2 give.

    python benchmarks/nine.py

The models are the project's own builds of the nine architectures (`thimble.zoo`, int8), so that anyone can run this;
a float32 model has four times the bytes. The paper reports between -1.61 and -38.06 %, the latter for DenseNet:
8,429.568 to 5,221.264 KB. Orders here are proven optimal, so a smaller figure is not an order of this graph.
"""

from __future__ import annotations

from thimble import zoo
from thimble.lifetime import dependencies
from thimble.pipeline import climb, memory_map
from thimble.schedule import optimal_order
from thimble.target import target_named

NINE = (
    ("MobileNet V1", "mobilenet_v1"),
    ("SqueezeNet", "squeezenet"),
    ("Inception V1", "inception_v1"),
    ("MnasNet", "mnasnet_a1"),
    ("NASNet-mobile", "nasnet_mobile"),
    ("DenseNet", "densenet_121"),
    ("DeepLabv3", "deeplab_v3"),
    ("PoseNet", "posenet"),
    ("EAST", "east"),
)


def percent(new: int, old: int) -> str:
    """Change in per cent, a dash for none."""
    return f"{100 * (new / old - 1):+.2f} %" if new != old else "–"


def main() -> None:
    """Print the table."""
    print("| model | operators | | shipped peak | as float32, KB | least peak | reordering alone | proven |", end="")
    print(" TFLM shipped | rungs 1 and 2 | |")
    print("|---|---:|---|---:|---:|---:|---:|---|---:|---:|---:|")
    for title, name in NINE:
        model = zoo.build(name)
        graph = model.main
        before = memory_map(model).peak_bytes
        best = optimal_order(graph)
        peak, bound = best.peak or 0, best.lower_bound
        chain = all(op.id - 1 in needs for op, needs in zip(graph.ops[1:], dependencies(graph)[1:], strict=True))
        steps = climb(model, target_named("cortex-m4"))
        old, new = steps[0].rung.arena_bytes, steps[-1].rung.arena_bytes
        only = "one order only" if chain else ""
        peaks = f"{before:,} | {before * 4 / 1000:,.3f} | {peak:,} | {percent(peak, before)}"
        proven = "yes" if peak == bound else "no"
        arenas = f"{old:,} | {new:,} | {percent(new, old)}"
        print(f"| {title} | {len(graph.ops)} | {only} | {peaks} | {proven} | {arenas} |", flush=True)


if __name__ == "__main__":
    main()
