# SPDX-License-Identifier: Apache-2.0
"""Lowering of SVDF on int8: which kernel, with which constants."""

from __future__ import annotations

import numpy as np

from thimble.ir import Array, DType
from thimble.kernel import Fields, Flavour, KernelCall, Site, whole
from thimble.ops.convolution import product_scale
from thimble.ops.lowering import packed
from thimble.ops.numerics import limits, quant_of, quantize_multiplier, wrap32
from thimble.ops.rows_dsp import rows_dsp
from thimble.ops.weighted_wide import fixed, operands, result_fields

_FOUR = 4  # filters that Helium multiplies together, and the fewest steps that packed arithmetic moves
_SMALL = 1 << 30


def lower_svdf_s8(site: Site, shape: Fields) -> KernelCall:
    """The call of an operator of this shape.

    Kernels: `svdf_s8_dsp.h` and `svdf_s8_mve.h` where weights and bias are constants, else `svdf.h`.
    """
    if site.flavour in (Flavour.DSP, Flavour.MVE) and fixed(site, 1, 2, 3):
        call = (_dsp if site.flavour is Flavour.DSP else _mve)(site, shape)
        if call is not None and site.allows(call.scratch):
            return call
    reads, constants = operands(site, 1, 2, 3)
    reads, writes = (*whole(site.tensor(0), site.tensor(4)), *reads), whole(site.outputs[0], site.tensor(4))
    return KernelCall("svdf_s8", "svdf.h", reads, writes, constants, "svdf", _fields(site, shape))


def _dsp(site: Site, shape: Fields) -> KernelCall | None:
    """None where sums do not fit, or there are few steps."""
    fields = _fields(site, shape, _bound(site))
    rows = rows_dsp("feature", _matrix(site, 1), _feature_bias(site), [_kept(site)])
    if rows is None or site.tensor(2).shape[1] < _FOUR:
        return None
    fields = (("svdf", fields), ("feature", rows.fields), ("scale", tuple(rows.scales[0].tolist())))
    constants = (rows.data, operands(site, 2)[1][0], packed("bias", DType.INT32, _bias(site)))
    reads, writes = whole(site.tensor(0), site.tensor(4)), whole(site.outputs[0], site.tensor(4))
    struct = "svdf_s8_dsp"
    return KernelCall(struct, f"{struct}.h", reads, writes, constants, struct, fields, rows.work_space)


def _mve(site: Site, shape: Fields) -> KernelCall:
    matrix = _matrix(site, 1)
    more = -len(matrix) % _FOUR
    constants = (
        packed("feature", DType.INT8, np.pad(matrix, ((0, more), (0, 0)))),
        packed("feature bias", DType.INT32, np.pad(wrap32(_feature_bias(site)), (0, more))),
        operands(site, 2)[1][0],
        packed("bias", DType.INT32, _bias(site)),
    )
    reads, writes = whole(site.tensor(0), site.tensor(4)), whole(site.outputs[0], site.tensor(4))
    fields = _fields(site, shape, _bound(site))
    return KernelCall("svdf_s8_mve", "svdf_s8_mve.h", reads, writes, constants, "svdf", fields)


def _matrix(site: Site, place: int) -> Array:
    tensor = site.constant(place)
    values = np.frombuffer((tensor.data or b"")[: tensor.nbytes], tensor.dtype.label)
    return values.reshape(tensor.shape).astype(np.int64)


def _feature_bias(site: Site) -> Array:
    """Per filter what the input's zero point contributes."""
    bias: Array = -quant_of(site.tensor(0)).zero_point[0] * _matrix(site, 1).sum(axis=1)
    return bias


def _bias(site: Site) -> Array:
    """Per unit the bias less what the state's zero point contributes; what int32 keeps of it."""
    units = site.outputs[0].shape[1]
    rest = quant_of(site.tensor(4)).zero_point[0] * _matrix(site, 2).sum(axis=1).reshape(units, -1).sum(axis=1)
    return wrap32((0 if site.optional(3) is None else _matrix(site, 3)) - rest)


def _bound(site: Site) -> int:
    """What sums over time never exceed."""
    low, high = limits(site.tensor(4).dtype)
    time = np.abs(_matrix(site, 2)).reshape(site.outputs[0].shape[1], -1).sum(axis=1)
    return int((np.abs(_bias(site)) + time * max(-low, high)).max(initial=0))


def _kept(site: Site) -> tuple[int, int]:
    """The multiplier from sums over the input to what is kept."""
    return quantize_multiplier(product_scale(site.tensor(0), site.tensor(1), site.tensor(4)))


def _fields(site: Site, shape: Fields, bound: int = _SMALL) -> Fields:
    x, time, memory, output = site.tensor(0), site.tensor(2), site.tensor(4), site.outputs[0]
    kept, made = _kept(site), quantize_multiplier(product_scale(memory, time, output))
    return (
        ("shape", shape),
        ("in_zero", quant_of(x).zero_point[0]),
        ("state_zero", quant_of(memory).zero_point[0]),
        *result_fields(output),
        ("multiplier", made[0]),
        ("shift", made[1]),
        ("in_multiplier", kept[0]),
        ("in_shift", kept[1]),
        ("wide", int(memory.dtype is DType.INT16)),
        ("small", int(bound << max(made[1], 0) < _SMALL)),
    )
