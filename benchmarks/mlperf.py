# SPDX-License-Identifier: Apache-2.0
"""Predicted beside published: latency and energy of MLPerf Tiny, board by board and task by task.

    python benchmarks/mlperf.py RESULTS.csv MODELS_DIR [--fit]

RESULTS.csv has the columns round, division, submitter, system, core, task, mode, latency_ms and uj_per_inf, as in the
repositories that MLCommons publishes per round. What is calibrated on it, and stands in `costs/runtimes.toml`: cycles
per instruction of three families of cores, and per closed runtime a factor for each kind of layer. Wait states,
caches, clocks and supplies are the boards' own. No constant belongs to a board and a task.

`--fit` prints these constants as found from the file. Leave-one-board-out always finds them anew, without the rows of
the board that is predicted; a runtime that only ran on that board cannot be predicted then, and is left out.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from thimble.board import Board, load_board
from thimble.cost import runtime_cost
from thimble.ir import Graph
from thimble.pipeline import load
from thimble.runtimes import KINDS, core_named, kind_of, runtime_named, runtime_names, runtime_work

MODELS = {"kws": "kws_ref_model_int8", "vww": "vww_96_int8", "ic": "pretrainedResnet_quant", "ad": "ad01_int8"}
CLOSED = {"x-cube-ai-7.1": "ST X-CUBE-AI 7.1", "x-cube-ai": "ST X-CUBE-AI 7.3", "plumerai": "Plumerai", "tvm": "TVM"}
"""Runtimes of which only latencies are known."""
WEIGHTED = ("convolution", "pointwise", "depthwise", "fully-connected")
EVEN = 0.1
"""How much a factor that differs from its runtime's mean by e costs, in units of an error of e: it keeps factors of
kinds that hardly occur near the others."""

SYSTEMS: dict[tuple[str, str], tuple[str, str]] = {
    ("STMicroelectronics", "NUCLEO-H7A3ZI-Q"): ("nucleo-h7a3zi-q", "x-cube-ai"),
    ("STMicroelectronics", "NUCLEO-U575ZI-Q"): ("nucleo-u575zi-q", "x-cube-ai"),
    ("STMicroelectronics", "NUCLEO_L4R5ZI"): ("nucleo-l4r5zi", "x-cube-ai"),
    ("plumerai", "DISCO_F746NG"): ("disco-f746ng", "plumerai"),
    ("plumerai", "NUCLEO_L4R5ZI"): ("nucleo-l4r5zi", "plumerai"),
    ("plumerai", "cy8cproto_062_4343w"): ("cy8cproto-062-4343w", "plumerai"),
    ("plumerai", "B_U585I_IOT02A"): ("b-u585i-iot02a", "plumerai"),
    ("renesas", "EK-RA6M4"): ("ek-ra6m4", "tflm-cmsis-nn"),
    ("OctoML", "microtvm_cmsis_nn/NRF5340-DK"): ("nrf5340-dk", "tvm-cmsis-nn"),
    ("OctoML", "microtvm_cmsis_nn/NUCLEO_L4R5ZI"): ("nucleo-l4r5zi", "tvm-cmsis-nn"),
    ("OctoML", "microtvm_native/NUCLEO_L4R5ZI"): ("nucleo-l4r5zi", "tvm"),
}
"""Submitter and system to board and runtime, by the submissions' system descriptions."""
VERSIONS = {("STMicroelectronics", "v0.7"): "x-cube-ai-7.1"}
"""Rounds in which a submitter's runtime was an older one: X-CUBE-AI 7.1.0 in v0.7, 7.3.0 in v1.0."""
LEFT_OUT = {
    "Andes": "RISC-V cores with vendor extensions, without a clock or a board",
    "RX65N-Cloud-Kit": "Renesas RX core: no target, and no instruction counts",
    "silicon_labs": "the MVP accelerator computes the layers",
    "syntiant": "NDP120 neural processor",
    "Alibaba": "open division: other models, Xuantie C906 with vectors",
    "hls4ml": "FPGA",
    "greenwaves-technologies": "GAP9: nine cores and a neural engine",
    "qualcomm": "no results",
}
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One published result, and what the model needs to predict it."""

    round: str
    board: str
    runtime: str
    task: str
    latency_ms: float
    energy_uj: float | None
    instructions: Vector  # by kind, with TFLM's kernels
    stalls: float  # cycles
    access_uj: float
    clock_hz: float
    core: str

    @property
    def cycles(self) -> float:
        return self.latency_ms * self.clock_hz / 1e3


@dataclass(frozen=True)
class Constants:
    """What is calibrated: cycles per instruction by core, factors by runtime and kind."""

    cpi: Mapping[str, float]
    factors: Mapping[str, Vector]

    def cycles(self, row: Row) -> float:
        factors = self.factors.get(row.runtime)
        counted = row.instructions if factors is None else row.instructions * factors
        return float(self.cpi[row.core] * counted.sum() + row.stalls)


def read(path: Path, models: Path) -> tuple[list[Row], dict[str, str]]:
    """Rows of performance and energy mode that the model covers, and reasons for the systems that it does not."""
    graphs = {task: load(models / f"{name}.tflite").main for task, name in MODELS.items()}
    found, out = [], {}
    with path.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            system = SYSTEMS.get((line["submitter"], line["system"]))
            if system is None:
                name = f"{line['submitter']} {line['system']}"
                out[name] = next((why for key, why in LEFT_OUT.items() if key in name), "no board file")
            elif line["latency_ms"] and line["task"] in MODELS:
                board, runtime = system
                runtime = VERSIONS.get((line["submitter"], line["round"]), runtime)
                found.append(_row(line, load_board(board), runtime, graphs[line["task"]]))
    return found, out


def _row(line: Mapping[str, str], board: Board, runtime: str, graph: Graph) -> Row:
    base = "tflm-cmsis-nn"
    by_kind = dict.fromkeys(KINDS, 0.0)
    for op in graph.ops:
        by_kind[kind_of(graph, op)] += runtime_work(graph, op, runtime_named(base), board.target)[0].instructions
    cost = runtime_cost(graph, board, base)
    energy = float(line["uj_per_inf"]) if line["mode"] == "energy" and line["uj_per_inf"] else None
    return Row(
        round=line["round"],
        board=board.name,
        runtime=runtime,
        task=line["task"],
        latency_ms=float(line["latency_ms"]),
        energy_uj=energy,
        instructions=np.array([by_kind[kind] for kind in KINDS]),
        stalls=sum(op.stall_cycles for op in cost.operators),
        access_uj=cost.access_uj + cost.leakage_uj,
        clock_hz=board.core.clock_hz.value,
        core=board.target,
    )


def fit(rows: Sequence[Row]) -> Constants:
    """The constants of least squared relative error over results in performance mode."""
    rows = [row for row in rows if row.energy_uj is None]
    cores = list(dict.fromkeys(row.core for row in rows))
    closed = [name for name in CLOSED if any(row.runtime == name for row in rows)]

    def constants(x: Vector) -> Constants:
        each = x[len(cores) :].reshape(len(closed), len(WEIGHTED))
        return Constants(
            dict(zip(cores, np.exp(x[: len(cores)]), strict=True)),
            {name: _all_kinds(np.exp(logs)) for name, logs in zip(closed, each, strict=True)},
        )

    def errors(x: Vector) -> Vector:
        found = constants(x)
        each = x[len(cores) :].reshape(len(closed), len(WEIGHTED))
        spread = EVEN * (each - each.mean(axis=1, keepdims=True))
        return np.array([*(math.log(found.cycles(row) / row.cycles) for row in rows), *spread.ravel()])

    return constants(least_squares(errors, np.zeros(len(cores) + len(closed) * len(WEIGHTED))))


def _all_kinds(weighted: Vector) -> Vector:
    """Factors of all kinds: what is not a weighted layer gets their mean, as in `Runtime.factor`."""
    mean = float(np.exp(np.log(weighted).mean()))
    return np.array([*weighted, *[mean] * (len(KINDS) - len(WEIGHTED))])


def least_squares(errors: Callable[[Vector], Vector], start: Vector) -> Vector:
    """Levenberg and Marquardt's method with differences for derivatives; deterministic."""
    x, damping = start, 1e-2
    value = errors(x)
    for _ in range(80):
        slopes = np.stack([(errors(x + step) - value) / 1e-5 for step in 1e-5 * np.eye(len(x))], axis=1)
        step = np.linalg.solve(slopes.T @ slopes + damping * np.eye(len(x)), -slopes.T @ value)
        trial = errors(x + step)
        if trial @ trial < value @ value:
            x, value, damping = x + step, trial, damping / 3
        else:
            damping *= 4
    return x


def shipped() -> Constants:
    """The constants of `costs/runtimes.toml`."""
    return Constants(
        {core: core_named(core).cycles_per_instruction.value for core in ("cortex-m4", "cortex-m33", "cortex-m7")},
        {
            name: np.array([runtime_named(name).factor(kind) for kind in KINDS])
            for name in CLOSED
            if name in runtime_names()
        },
    )


def latency_error(found: Constants, row: Row) -> float:
    """Relative; positive where too much is predicted."""
    return found.cycles(row) / row.cycles - 1


def energy_error(found: Constants, row: Row, power: float) -> float:
    """Relative, with microwatts per MHz of the core."""
    assert row.energy_uj is not None
    return (found.cycles(row) * power / 1e6 + row.access_uj) / row.energy_uj - 1


def power_of(board: str) -> float:
    """Microwatts per MHz, as the cost model takes them."""
    own = load_board(board)
    return (own.core.active_power or core_named(own.target).active_power).value


def without(rows: Sequence[Row], board: str) -> Constants:
    """Constants from all other boards; runtimes that only ran on this one are missing, CMSIS-NN's need none."""
    return fit([row for row in rows if row.board != board])


def predictable(found: Constants, row: Row) -> bool:
    """Whether constants found without a board's rows say anything about this one."""
    return row.core in found.cpi and (row.runtime not in CLOSED or row.runtime in found.factors)


def mean_power(rows: Sequence[Row], board: str) -> float:
    """Geometric mean of the other boards' microwatts per MHz: all that is known of a board without a figure."""
    others = dict.fromkeys(row.board for row in rows if row.energy_uj is not None and row.board != board)
    return statistics.geometric_mean(power_of(name) for name in others)


def summary(name: str, errors: Sequence[float]) -> str:
    """Median and largest absolute error."""
    size = [abs(e) for e in errors]
    if not size:
        return f"{name}: none"
    return f"{name}: median {100 * statistics.median(size):.1f} %, largest {100 * max(size):.1f} % of {len(size)}"


def latency_table(rows: Sequence[Row], found: Constants, others: Mapping[str, Constants]) -> None:
    """Predicted beside published, and the errors' summary."""
    print("| round | board | runtime | task | published ms | predicted ms | error | board left out |")
    print("|---|---|---|---|---:|---:|---:|---:|")
    errors, out, missing = [], [], []
    for row in rows:
        errors.append(latency_error(found, row))
        other = others[row.board]
        last = ""
        if predictable(other, row):
            out.append(latency_error(other, row))
            last = f"{100 * out[-1]:+.1f} %"
        else:
            missing.append(row.runtime)
        cells = row.round, row.board, row.runtime, row.task, f"{row.latency_ms:.2f}"
        predicted = f"{row.latency_ms * (1 + errors[-1]):.2f}", f"{100 * errors[-1]:+.1f} %"
        print("|", " | ".join([*cells, *predicted, last]), "|")
    print()
    print(summary("latency", errors))
    print(summary("latency, board left out", out))
    print(f"  not predictable without the board: {len(missing)} ({', '.join(dict.fromkeys(missing))})\n")


def energy_table(rows: Sequence[Row], found: Constants, others: Mapping[str, Constants]) -> None:
    """Predicted beside published, and the errors' summary.

    The boards' power comes from round v0.7 itself: v1.0 is the check, and so is a board without a figure of its own.
    """
    print("| round | board | runtime | task | published uJ | predicted uJ | error |")
    print("|---|---|---|---|---:|---:|---:|")
    errors = [energy_error(found, row, power_of(row.board)) for row in rows]
    for row, error in zip(rows, errors, strict=True):
        assert row.energy_uj is not None
        cells = row.round, row.board, row.runtime, row.task, f"{row.energy_uj:.1f}"
        print("|", " | ".join([*cells, f"{row.energy_uj * (1 + error):.1f}", f"{100 * error:+.1f} %"]), "|")
    print()
    print(summary("energy", errors))
    for number in dict.fromkeys(row.round for row in rows):
        print(summary(f"  {number}", [e for e, row in zip(errors, rows, strict=True) if row.round == number]))
    unknown = [
        energy_error(others[row.board], row, mean_power(rows, row.board))
        for row in rows
        if predictable(others[row.board], row)
    ]
    print(summary("energy, board left out, its power too (mean of the others')", unknown))


def constants_as_toml(found: Constants) -> None:
    """The calibrated part of `costs/runtimes.toml`."""
    for core, cpi in found.cpi.items():
        print(f"# [cores.{core}] cycles_per_instruction {cpi:.3f}")
    for name, factors in found.factors.items():
        print(f'\n[runtimes."{name}"]\ntitle = "{CLOSED[name]}"\nkernels = "cmsis-nn"\n\n[runtimes."{name}".factors]')
        for kind, factor in zip(WEIGHTED, factors[: len(WEIGHTED)], strict=True):
            print(f'{kind} = {{ value = {factor:.3f}, estimate = "calibrated on MLPerf Tiny v0.7 and v1.0" }}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="published results as CSV")
    parser.add_argument("models", type=Path, help="folder with the four models")
    parser.add_argument("--fit", action="store_true", help="print the constants found from the results")
    options = parser.parse_args()
    rows, out = read(options.results, options.models)
    if options.fit:
        constants_as_toml(fit(rows))
        return
    others = {board: without(rows, board) for board in dict.fromkeys(row.board for row in rows)}
    latency_table([row for row in rows if row.energy_uj is None], shipped(), others)
    energy_table([row for row in rows if row.energy_uj is not None], shipped(), others)
    print("\nLeft out:")
    for name, why in out.items():
        print(f"* {name}: {why}")


if __name__ == "__main__":
    main()
