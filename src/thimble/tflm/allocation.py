# SPDX-License-Identifier: Apache-2.0
"""What TFLM will allocate for a model on a target, to the byte: rung 0 of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thimble.errors import ModelError
from thimble.ir import Custom, Model, OpId, TensorId
from thimble.target import Target
from thimble.tflm import cmsis_nn, custom, reference
from thimble.tflm.kernels import Node, UnpredictableError, Use
from thimble.tflm.persistent import planning_bytes, tail
from thimble.tflm.planner import ALIGNMENT, Request, Scratch, greedy, load, requests, without_offline_plan
from thimble.tflm.refusals import refusal
from thimble.tflm.structs import align_up


@dataclass(frozen=True, slots=True)
class Planned:
    """A buffer of the plan: a tensor, or a scratch buffer of an operator (then `tensor` is None).

    `size` is aligned, `last` is inclusive; -1 for both ends is a tensor that no operator touches.
    """

    what: str
    graph: int
    tensor: TensorId | None
    op: OpId | None
    size: int
    first: int
    last: int
    offset: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """TFLM's memory for a model, in bytes.

    `nonpersistent_bytes` is the head of the arena, `persistent_bytes` its tail, split by category;
    `total_bytes` is `MicroInterpreter::arena_used_bytes()`. `lower_bound_bytes` is the largest sum of planned
    buffers that live together: no planner gets below it with TFLM's lifetimes. `planning_arena_bytes` is what TFLM
    needs while it prepares and plans. `smallest_arena_bytes`, a multiple of 16, is what `tensor_arena` must have:
    planning can need more than is used in the end. It is never too small; where activations take under a kilobyte
    or so it may be some hundred bytes more than needed. `exact` is False where a kernel's requests are not known
    or TFLM would refuse the model; `notices` say which operator and why.
    """

    nonpersistent_bytes: int
    persistent_bytes: int
    total_bytes: int
    lower_bound_bytes: int
    planning_arena_bytes: int
    plan: tuple[Planned, ...]
    scratch: tuple[Scratch, ...]
    persistent_by_category: tuple[tuple[str, int], ...]
    exact: bool
    notices: tuple[str, ...] = ()

    @property
    def smallest_arena_bytes(self) -> int:
        return align_up(max(self.total_bytes, self.planning_arena_bytes), ALIGNMENT)


def predict(
    model: Model, target: Target, *, recording: bool | None = None, order: Sequence[OpId] | None = None
) -> Allocation:
    """Predict TFLM's allocation.

    Args:
        model: the model, all its graphs.
        target: processor and build.
        recording: with TFLM's recording allocator (somewhat larger objects); None takes what the target
            usually runs: the PyPI wheel records, firmware does not.
        order: another order of the main graph's operators, as a file with that order would have it.
    """
    model, notices = _usable_plan(model)
    uses, unknown = kernel_uses(model, target)
    ordered = uses if order is None else _reordered(uses, order)
    scratch = tuple(Scratch(g, OpId(o), size) for (g, o), use in ordered.items() for size in use.scratch)
    wanted = requests(model, order, scratch)
    offsets, height = greedy(wanted)
    end = tail(model, target, ordered, recording=target.wheel if recording is None else recording)
    planning = planning_bytes(model, target, len(scratch), len(wanted)) + align_up(end.before_plan, ALIGNMENT)
    notices += unknown + _unrun_scratch(model, wanted) + _port_notice(target)
    return Allocation(
        nonpersistent_bytes=height,
        persistent_bytes=end.total,
        total_bytes=height + end.total,
        lower_bound_bytes=load(wanted),
        planning_arena_bytes=max(planning, end.preparing),
        plan=tuple(_planned(request, offset) for request, offset in zip(wanted, offsets, strict=True)),
        scratch=scratch,
        persistent_by_category=end.by_category,
        exact=not notices,
        notices=notices,
    )


def _unrun_scratch(model: Model, wanted: Sequence[Request]) -> tuple[str, ...]:
    """TFLM plans scratch buffers of graphs that nothing runs with a size that it never sets."""
    ops = {(r.graph, r.op) for r in wanted if r.op is not None and r.first < 0}
    labels = (model.graphs[graph].ops[op].label for graph, op in sorted(ops) if op is not None)
    return tuple(
        f"{label}: no operator runs its graph; TFLM plans its scratch buffer with a random size" for label in labels
    )


def _planned(request: Request, offset: int) -> Planned:
    r = request
    return Planned(r.what, r.graph, r.tensor, r.op, r.size, r.first, r.last, offset)


def _usable_plan(model: Model) -> tuple[Model, tuple[str, ...]]:
    """The model with its own offline plan where TFLM would accept it, else without and a notice."""
    try:
        requests(model)
    except ModelError as error:
        return without_offline_plan(model), (str(error),)
    return model, ()


def _port_notice(target: Target) -> tuple[str, ...]:
    if target.runs_tflm:
        return ()
    return (f"TFLM has no port for {target.name}: the figures are what its structs and buffers would take",)


def _reordered(uses: dict[tuple[int, int], Use], order: Sequence[OpId]) -> dict[tuple[int, int], Use]:
    main = {(0, int(op)): uses[0, int(op)] for op in order}
    return main | {key: use for key, use in uses.items() if key[0] != 0}


def kernel_uses(model: Model, target: Target) -> tuple[dict[tuple[int, int], Use], tuple[str, ...]]:
    """What each kernel requests, by (graph, operator) in the order of preparation.

    Returns:
        The requests, and notices that name each operator that TFLM refuses or whose requests are not known.
    """
    uses: dict[tuple[int, int], Use] = {}
    notices: list[str] = []
    for index, graph in enumerate(model.graphs):
        for op in graph.ops:
            node = Node(op, graph.operands(op), graph.results(op), target)
            uses[index, op.id], notice = _kernel(node)
            if notice:
                notices.append(f"{op.label}: {notice}")
    return uses, tuple(notices)


def _kernel(node: Node) -> tuple[Use, str]:
    """A kernel's requests and a notice, empty where they are exact."""
    try:
        reason = refusal(node)
        return _table(node)(node), "" if reason is None else f"TFLM refuses this operator: {reason}"
    except UnpredictableError as error:
        return Use(), f"{error}; what its kernel would request is not counted"


def _table(node: Node) -> Callable[[Node], Use]:
    if isinstance(node.op.attrs, Custom):
        return custom.use
    return cmsis_nn.use if node.target.kernels == "cmsis-nn" else reference.use
