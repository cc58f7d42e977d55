# SPDX-License-Identifier: Apache-2.0
"""LiteRT's old kernels for uint8, on int8: `rewrites/signed.py` keeps values 128 lower, and says so in `Quant.legacy`.

Only the representation changes. The operators' references for uint8 say what is computed, with their rounding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.ir import Array, Attrs, Call, DType, Quant, Tensor

OFFSET = 128
"""By how much values and zero points are lower than in the file."""


def is_legacy(tensor: Tensor | None) -> bool:
    """Whether the tensor's values are uint8 in the file, whatever they are here."""
    if tensor is None:
        return False
    return tensor.dtype is DType.UINT8 or (tensor.quant is not None and tensor.quant.legacy)


def to_signed(tensor: Tensor) -> Tensor:
    """A uint8 tensor as int8."""
    assert tensor.quant is not None and tensor.dtype is DType.UINT8
    data = None if tensor.data is None else flipped(np.frombuffer(tensor.data, np.uint8)).tobytes()
    return replace(tensor, dtype=DType.INT8, quant=_moved(tensor.quant, -OFFSET, True), data=data)


def to_unsigned(tensor: Tensor) -> Tensor:
    """The same tensor as in the file; tensors that are not legacy stay as they are."""
    if tensor.quant is None or not tensor.quant.legacy:
        return tensor
    data = None if tensor.data is None else flipped(np.frombuffer(tensor.data, np.int8)).tobytes()
    return replace(tensor, dtype=DType.UINT8, quant=_moved(tensor.quant, OFFSET, False), data=data)


def flipped(array: Array) -> Array:
    """Bytes of one type as the other's: 128 less, or more."""
    other = np.int8 if array.dtype == np.uint8 else np.uint8
    return (np.ascontiguousarray(array).view(np.uint8) ^ 0x80).view(other)


def reference(attrs: Attrs, call: Call) -> tuple[Array, ...]:
    """The operator's results by its own reference; that for uint8 where a tensor is legacy."""
    old = [t is not None and t.quant is not None and t.quant.legacy for t in call.inputs]
    new = [t.quant is not None and t.quant.legacy for t in call.outputs]
    if not any((*old, *new)):
        return attrs.reference(call)
    values = tuple(flipped(v) if was and v is not None else v for v, was in zip(call.values, old, strict=True))
    inputs = tuple(None if t is None else to_unsigned(t) for t in call.inputs)
    outputs = tuple(map(to_unsigned, call.outputs))
    results = attrs.reference(replace(call, values=values, inputs=inputs, outputs=outputs))
    return tuple(flipped(v).reshape(v.shape) if was else v for v, was in zip(results, new, strict=True))


def _moved(quant: Quant, by: int, legacy: bool) -> Quant:
    return replace(quant, zero_point=tuple(zero + by for zero in quant.zero_point), legacy=legacy)
