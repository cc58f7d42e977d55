# SPDX-License-Identifier: Apache-2.0
"""One program that calls every kernel of a flavour, joined from the one-operator models of the other tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain

import test_detection_post_process as detections
import test_kernels_movement as movement
import test_reference_convolution as convolution
import test_reference_elementwise as elementwise
import test_reference_models as memories
import test_reference_movement as moves
import test_reference_signal as signals
from tflm_models import Step, graph, model
from thimble.compile import compile_model
from thimble.errors import UnsupportedOperatorError
from thimble.ir import DType, Graph, Model, Quant, Tensor
from thimble.kernel import Flavour, KernelCall, Site
from thimble.program import Program
from thimble.rewrites import compilable

U8 = DType.UINT8


def models() -> Iterator[Model]:
    """All small models for which there are references."""
    grids = [*convolution.GROUPS, convolution.legacy, *(getattr(moves, group) for group in moves.GROUPS)]
    yield from (made for _, made in chain.from_iterable(grid() for grid in grids))
    yield from (case.model for case in elementwise.CASES)
    yield from memories.MODELS.values()
    yield from signals.MODELS.values()
    yield from (made for made, _ in movement.more())
    yield detections.detector()
    yield from legacy()


def legacy() -> Iterator[Model]:
    """Operators on uint8 that have kernels of their own for it."""
    half, quarter = Quant((0.5,), (128,)), Quant((0.25,), (0,))
    operands = [moves.free((2,), U8, half), moves.free((1,), U8, quarter)]
    yield moves.one("CONCATENATION", operands, U8, quarter)
    yield moves.one("RESIZE_BILINEAR", [moves.free((1, 2, 2, 3), U8, half), moves.fixed([4, 3])], U8, half)


@cache
def graphs() -> tuple[Graph, ...]:
    """Those that can be compiled at all, ready for it."""
    return tuple(made for made in map(_compilable, models()) if made is not None)


def _compilable(made: Model) -> Graph | None:
    try:
        return compilable(made)
    except UnsupportedOperatorError:
        return None


def calls_of(made: Graph, flavour: Flavour) -> tuple[KernelCall, ...]:
    try:
        sites = [Site(op.label, made.operands(op), made.results(op), flavour) for op in made.ops]
        return tuple(call for op, site in zip(made.ops, sites, strict=True) for call in op.attrs.lower(site))
    except UnsupportedOperatorError:
        return ()


@cache
def every_kernel(flavour: Flavour) -> Program:
    """The first models that use a kernel, side by side in one graph."""
    seen: set[str] = set()
    chosen = []
    for made in graphs():
        kernels = {call.kernel for call in calls_of(made, flavour)}
        if kernels - seen:
            chosen.append(made)
            seen |= kernels
    return compile_model(together(chosen), flavour=flavour, rung=0, name=f"every_{flavour.name.lower()}")


def together(parts: list[Graph]) -> Model:
    tensors: list[Tensor] = []
    steps: list[Step] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for part in parts:
        first = len(tensors)
        tensors += part.tensors
        inputs += [first + i for i in part.inputs]
        outputs += [first + i for i in part.outputs]
        for op in part.ops:
            operands = tuple(None if i is None else first + i for i in op.inputs)
            steps.append(Step(op.attrs, operands, tuple(first + i for i in op.outputs)))
    return model(graph(tensors, steps, tuple(inputs), tuple(outputs)))
