# SPDX-License-Identifier: Apache-2.0
"""Kernel calls on tensors that are parts of others, so that joining and cutting them takes no copies (rung 3).

    CONCATENATION of channels         pixel 0          pixel 1
    result                        | a a a | b b |  | a a a | b b |
    a, a slice of it              | a a a |        | a a a |          run 3, pitch 5

A copy of what is in its place already is a view. Kernels on images are told how far pixels are apart; what is computed
element by element is computed run by run. All other kernels work on slices in one piece only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thimble.ir import Graph, Op, Tensor, TensorId
from thimble.kernel import Choice, KernelCall, Site, Slice, View
from thimble.ops.elementwise import Binary, Unary
from thimble.ops.strided import loops

Slices = Mapping[TensorId, Slice]

_COPIES = ("copy", "strided_copy", "strided_copy_6")
_WRITERS = ("conv_2d", "depthwise_conv_2d", "pointwise", "weighted", "average_pool", "max_pool", "l2_pool")
"""Kernels that keep to the distance between pixels of their result."""
_GATHERED = ("conv_2d_s8_dsp", "conv_2d_s8_walk_dsp")
"""Those that read the pixels under a row of a window in one piece."""


def whole(tensor: Tensor) -> Slice:
    """All of a tensor as a slice of itself."""
    return Slice(tensor.id, 0, tensor.nbytes, tensor.nbytes)


def is_dense(tensor: Tensor, place: Slice) -> bool:
    """Whether a slice is in one piece."""
    return place.run == tensor.nbytes


def copied_views(calls: Sequence[KernelCall]) -> tuple[tuple[View, View], ...]:
    """(read, written) of calls that only copy; nothing if one of them does more."""
    if any(call.kernel not in _COPIES for call in calls):
        return ()
    return tuple((call.reads[0], call.writes[0]) for call in calls)


def place_of(view: View, slices: Slices) -> Slice | None:
    """Where a part of a tensor is; None if it is not runs at a regular distance."""
    outer = slices.get(view.tensor.id, whole(view.tensor))
    if view.shape is None:
        return outer
    found = loops(view.shape, view.strides)
    item = view.itemsize
    run = found.pop()[0] * item if found and found[-1][1] == (item,) else item
    if len(found) > 1:
        return None
    pitch = found[0][1][0] if found else run
    if pitch < run or view.offset + run > outer.run:
        return None
    if found and outer.run != view.tensor.nbytes:  # runs of runs: one in each
        if pitch != outer.run or found[0][0] * pitch != view.tensor.nbytes:
            return None
        pitch = outer.pitch
    return replace(outer, offset=outer.offset + view.offset, run=run, pitch=pitch)


def sliced_calls(graph: Graph, op: Op, choice: Choice, slices: Slices) -> tuple[KernelCall, ...] | None:
    """The calls of an operator some of whose tensors are slices; None where its kernels cannot work on them."""
    site = Site(op.label, graph.operands(op), graph.results(op), choice.flavour, choice.work_space)
    calls = tuple(_view(call, slices) for call in op.attrs.lower(site))
    tensors = (*graph.operands(op), *graph.results(op))
    apart = {t.id: slices[t.id] for t in tensors if t is not None and t.id in slices and not is_dense(t, slices[t.id])}
    if all(call.view or not _touched(call, apart) for call in calls):
        return calls
    if isinstance(op.attrs, Unary | Binary):
        return _by_runs(site, op, apart)
    found = [call if call.view or not _touched(call, apart) else _on_images(call, apart) for call in calls]
    known = tuple(call for call in found if call is not None)
    return known if len(known) == len(calls) else None


def _touched(call: KernelCall, slices: Slices) -> bool:
    return any(view.tensor.id in slices for view in (*call.reads, *call.writes))


def _view(call: KernelCall, slices: Slices) -> KernelCall:
    """A call; one that copies what is in its place already as a copy onto itself, in one piece or not."""
    if call.kernel not in _COPIES or not _touched(call, slices):
        return call
    (read,), (write,) = call.reads, call.writes
    place = place_of(read, slices)
    if place is None or place != place_of(write, slices):
        return call
    fields = (("bytes", write.nbytes),)
    return KernelCall("copy", "copy.h", (read,), (write,), struct="copy", fields=fields, in_place=((0, 0),), view=True)


def _on_images(call: KernelCall, slices: Slices) -> KernelCall | None:
    """A call of a kernel that may be told how far pixels are apart."""
    fields = dict(call.fields)
    if not call.kernel.startswith(_WRITERS) or call.batch > 1 or fields.get("run", 1) != 1:
        return None
    first = {"in": call.reads[0], "out": call.writes[0]}
    if any(view.tensor.id in slices for view in (*call.reads[1:], *call.writes[1:])):
        return None
    images = {name: view for name, view in first.items() if view.tensor.id in slices}
    if "in" in images and call.kernel in _GATHERED and fields.get("kernel_w") != 1:
        return None
    pitches = {name: slices[view.tensor.id].pitch // view.itemsize for name, view in images.items()}
    runs = {name: slices[view.tensor.id].run // view.itemsize for name, view in images.items()}
    left = dict(images)
    spread = _spread(call.fields, pitches, runs, left)
    return None if left else replace(call, fields=spread, in_place=())


def _spread(fields: Any, pitches: Mapping[str, int], runs: Mapping[str, int], left: dict[str, View]) -> Any:
    """Parameters with other distances between the pixels of some images, which are taken off `left`."""
    found = []
    for name, value in fields:
        if not isinstance(value, tuple) or not value or not isinstance(value[0], tuple):
            found.append((name, value))
            continue
        image = dict(value)
        if name in left and image.get("channels") == image.get("pixel") == runs[name]:
            del left[name]
            image.update(pixel=pitches[name], row=image["width"] * pitches[name])
            found.append((name, tuple(image.items())))
        else:
            found.append((name, _spread(value, pitches, runs, left)))
    return tuple(found)


def _by_runs(site: Site, op: Op, slices: Slices) -> tuple[KernelCall, ...] | None:
    """A call for one run of an operator on single elements, made for one run after another."""
    tensors = {t.id: t for t in (*site.inputs, *site.outputs) if t is not None}
    output = site.outputs[0]
    counts = {tensors[t].nbytes // place.run for t, place in slices.items()}
    axes = [_axis(tensors[t], place.run) for t, place in slices.items()]
    if (
        len(counts) != 1
        or len(set(axes)) != 1
        or axes[0] is None
        or any(tensors[t].shape != output.shape for t in slices)
    ):
        return None
    axis, count = axes[0], counts.pop()
    small = {t: _run_of(tensor, output, axis) for t, tensor in tensors.items()}
    if any(tensor is None for tensor in small.values()):
        return None
    inputs = tuple(None if t is None else small[t.id] for t in site.inputs)
    calls = op.attrs.lower(replace(site, inputs=inputs, outputs=tuple(small[t.id] or t for t in site.outputs)))
    if len(calls) != 1 or calls[0].batch > 1 or calls[0].rows:
        return None
    (call,) = calls
    moves = []
    for view in (*call.reads, *call.writes):
        tensor = tensors[view.tensor.id]
        moved = tensor.shape == output.shape and tensor.nbytes // count
        moves.append(slices[tensor.id].pitch if tensor.id in slices else int(moved))
    reads, writes = (tuple(View(tensors[v.tensor.id]) for v in views) for views in (call.reads, call.writes))
    return (replace(call, reads=reads, writes=writes, in_place=(), batch=count, moves=tuple(moves)),)


def _axis(tensor: Tensor, run: int) -> int | None:
    """The axis from which on a run holds all elements."""
    size = tensor.dtype.bits // 8
    for axis in reversed(range(len(tensor.shape))):
        size *= tensor.shape[axis]
        if size == run:
            return axis
    return None


def _run_of(tensor: Tensor, output: Tensor, axis: int) -> Tensor | None:
    """An operand for one run of the result: its own run, or all of what is the same for each."""
    if tensor.shape == output.shape:
        return replace(tensor, shape=(*(1,) * axis, *tensor.shape[axis:]))
    same = math.prod(tensor.shape[: max(0, len(tensor.shape) - len(output.shape) + axis)]) == 1
    return tensor if same else None


__all__ = ["Slices", "copied_views", "is_dense", "place_of", "sliced_calls", "whole"]
