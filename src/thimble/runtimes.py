# SPDX-License-Identifier: Apache-2.0
"""What other runtimes take for the same graph, and what an instruction takes on each family of cores.

A runtime's instructions per operator are sums of what it counts: multiply-accumulates, outputs, elements of the
windows that are gathered, calls. TFLM's were fitted to an emulated build of it, per kind of layer and core
(`benchmarks/calibrate_runtimes.py`). Of closed runtimes only published latencies are known: they are TFLM with CMSIS-NN
times a factor per kind of layer, the same on all boards (`benchmarks/mlperf.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

from thimble.board import Figure
from thimble.errors import OptionError
from thimble.instructions import NOTHING, Traffic
from thimble.ir import Graph, Kind, Op

OURS = "thimble"
"""The runtime whose instructions come from the kernels themselves."""
STACK_SHARE = 0.05
"""Words of the stack that are read or written per instruction. Estimate: inner loops spill registers now and then."""
KINDS = ("convolution", "pointwise", "depthwise", "fully-connected", "pool", "elementwise", "other")


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A family of cores.

    `cycles_per_instruction` is for integer kernels from memory that never waits; `active_power`, in microwatts per MHz,
    for boards whose file has none. `counts` is the core whose instruction counts stand for it in `instructions.py`,
    `tables` which of TFLM's instructions it executes, by kernel set.
    """

    cycles_per_instruction: Figure
    active_power: Figure
    counts: str
    tables: dict[str, str]


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A runtime: TFLM's kernels that it resembles, and by how much it differs per kind of layer."""

    title: str
    kernels: str
    factors: dict[str, Figure] = {}

    def factor(self, kind: str) -> float:
        """Instructions relative to TFLM's; where nothing is said about a kind, the mean of the others."""
        if kind in self.factors:
            return self.factors[kind].value
        logs = [math.log(figure.value) for figure in self.factors.values()]
        return math.exp(sum(logs) / len(logs)) if logs else 1.0


class Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`costs/runtimes.toml`."""

    cores: dict[str, Core]
    runtimes: dict[str, Runtime]
    instructions: dict[str, dict[str, dict[str, float]]]


@cache
def tables() -> Tables:
    """The calibrated constants."""
    text = (resources.files("thimble") / "costs" / "runtimes.toml").read_bytes()
    return msgspec.toml.decode(text, type=Tables)


def runtime_names() -> tuple[str, ...]:
    """All runtimes whose cost can be predicted, ours first."""
    return (OURS, *tables().runtimes)


def runtime_named(name: str) -> Runtime:
    """A runtime other than ours.

    Raises:
        OptionError: no such runtime.
    """
    if name not in tables().runtimes:
        raise OptionError(f"no runtime named '{name}'; known: {', '.join(runtime_names())}")
    return tables().runtimes[name]


def core_named(target: str) -> Core:
    """The core family of a target.

    Raises:
        OptionError: nothing is known about it.
    """
    if target not in tables().cores:
        raise OptionError(f"no costs for the target '{target}'; known: {', '.join(tables().cores)}")
    return tables().cores[target]


def runtime_work(graph: Graph, op: Op, runtime: Runtime, target: str) -> tuple[Traffic, int, int]:
    """Traffic of an operator, bytes of its constants, and bytes of its operands and results in the arena.

    Raises:
        OptionError: nothing is known about the runtime's kernels on that core.
    """
    core = core_named(target)
    if runtime.kernels not in core.tables:
        raise OptionError(f"nothing is known about '{runtime.title}' on '{target}'")
    if op.kind == "RESHAPE":
        return NOTHING, 0, 0  # in place
    kind = kind_of(graph, op)
    counts = counts_of(graph, op)
    table = tables().instructions[core.tables[runtime.kernels]][kind]
    instructions = runtime.factor(kind) * sum(cost * counts[name] for name, cost in table.items())
    constants = sum(t.nbytes for t in graph.operands(op) if t is not None and t.kind is Kind.CONSTANT)
    arena = sum(t.nbytes for t in (*graph.operands(op), *graph.results(op)) if t is not None and t.in_arena)
    return _traffic(kind, counts, instructions, runtime.kernels), constants, arena


_KIND_OF = {
    "DEPTHWISE_CONV_2D": "depthwise",
    "FULLY_CONNECTED": "fully-connected",
    "AVERAGE_POOL_2D": "pool",
    "MAX_POOL_2D": "pool",
    "MEAN": "pool",
    "ADD": "elementwise",
    "SUB": "elementwise",
    "MUL": "elementwise",
}


def kind_of(graph: Graph, op: Op) -> str:
    """Which kind of layer an operator is, among `KINDS`."""
    if op.kind == "CONV_2D":
        weights = graph.operands(op)[1]
        return "pointwise" if weights is not None and weights.shape[1:3] == (1, 1) else "convolution"
    return _KIND_OF.get(op.kind, "other")


def counts_of(graph: Graph, op: Op) -> Mapping[str, float]:
    """What an operator's instructions depend on.

    `mac`; `output` and `input` elements; `gathered`: elements of all windows, as often as they are gathered; `tap`:
    cells of windows that a filter visits, whatever their channels; `call`.
    """
    operands, results = graph.operands(op), graph.results(op)
    macs = op.attrs.macs(operands, results)
    outputs = sum(math.prod(t.shape) for t in results)
    inputs = sum(math.prod(t.shape) for t in operands if t is not None and t.kind is not Kind.CONSTANT)
    channels = results[0].shape[-1] if results and results[0].shape else 1
    depth = operands[0].shape[-1] if operands and operands[0] is not None and operands[0].shape else 1
    return {
        "mac": macs,
        "output": outputs,
        "input": inputs,
        "gathered": macs / max(1, channels),
        "tap": macs / max(1, depth),
        "call": 1.0,
    }


def _traffic(kind: str, counts: Mapping[str, float], instructions: float, kernels: str) -> Traffic:
    """Words read and written.

    CMSIS-NN uses each weight for two windows and each input for two filters, four bytes at once.

    Source: CMSIS-NN, arm_nn_mat_mult_kernel_s8_s16.c and arm_nn_vec_mat_mult_t_s8.c.
    """
    shared = 2 if kind in ("convolution", "pointwise") and kernels == "cmsis-nn" else 1
    together = WORD_OF[kernels]
    reads = counts["mac"] / shared / together
    stack = STACK_SHARE * instructions
    if kind in ("pool", "elementwise", "other"):
        return Traffic(instructions, 0.0, counts["input"] / together, counts["output"] / together, True, stack)
    return Traffic(instructions, reads, reads, counts["output"], True, stack)


WORD_OF = {"cmsis-nn": 4, "reference": 1}
"""Elements that one access brings in."""
