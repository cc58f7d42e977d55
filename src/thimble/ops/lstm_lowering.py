# SPDX-License-Identifier: Apache-2.0
"""Lowering of the LSTM layer to `lstm.h`: weights unit by unit, zero points of activations in the biases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.ir import Array, Call, DType, Tensor
from thimble.kernel import Data, Fields, KernelCall, Site, whole
from thimble.ops.lookup16 import SIGMOID_TABLE
from thimble.ops.lowering import packed
from thimble.ops.lstm import CELL, HIDDEN, Integers
from thimble.ops.numerics import quant_of, wrap32
from thimble.ops.weighted_wide import result_fields, scale_pairs

_GATES = range(4)
_SATURATED = 255 << 8  # the first argument for which the table's tanh is 1


def lower_lstm(site: Site, cell_clip: float, time_major: bool) -> tuple[KernelCall, ...]:
    """The call of a layer whose operands are those that its reference takes."""
    x, hidden, cell = site.tensor(0), site.tensor(HIDDEN), site.tensor(CELL)
    real = x.dtype is DType.FLOAT32
    fields: Fields = (("shape", _shape(x, site.tensor(5), time_major)),)
    if real:
        bound = float(np.float32(cell_clip))
        fields = (*fields, ("clip", int(cell_clip > 0)), ("bound", bound))
        constants: tuple[Data, ...] = (_weights(site), _biases(site, ()))
    else:
        numbers = Integers(Call((), site.inputs, site.outputs), cell_clip)
        fields = (*fields, *_integer_fields(site, numbers))
        zeros = (quant_of(x).zero_point[0], quant_of(hidden).zero_point[0])
        constants = (_weights(site), _biases(site, zeros), packed("sigmoid", DType.UINT16, SIGMOID_TABLE))
    name, struct = ("lstm_f32", "lstm_f32") if real else ("lstm_s8", "lstm")
    writes = whole(site.outputs[0], hidden, cell)
    return (KernelCall(name, "lstm.h", whole(x, hidden, cell), writes, constants, struct, fields),)


def _shape(x: Tensor, recurrent: Tensor, time_major: bool) -> Fields:
    moments, sequences = x.shape[:2] if time_major else (x.shape[1], x.shape[0])
    return (
        ("sequences", sequences),
        ("moments", moments),
        ("depth", x.shape[2]),
        ("units", recurrent.shape[0]),
        ("sequence", 1 if time_major else moments),
        ("moment", sequences if time_major else 1),
    )


def _matrix(site: Site, place: int) -> Array:
    tensor = site.constant(place)
    return np.frombuffer((tensor.data or b"")[: tensor.nbytes], tensor.dtype.label).reshape(tensor.shape)


def _weights(site: Site) -> Data:
    """`[units,gate,C + units]`."""
    gates = [np.concatenate([_matrix(site, 1 + gate), _matrix(site, 5 + gate)], axis=1) for gate in _GATES]
    return packed("weights", site.tensor(1).dtype, np.stack(gates, axis=1))


def _biases(site: Site, zeros: Sequence[int]) -> Data:
    """`[units,gate]`; of integers `[units,gate,2]`, for input and hidden state, without those two's zero points."""
    biases = [_matrix(site, 12 + gate) for gate in _GATES]
    if not zeros:
        return packed("biases", DType.FLOAT32, np.stack(biases, axis=1))
    taken = []
    for gate in _GATES:
        for source, place in enumerate((1 + gate, 5 + gate)):
            matrix = _matrix(site, place).astype(np.int64) - quant_of(site.tensor(place)).zero_point[0]
            taken.append((0 if source else biases[gate].astype(np.int64)) - zeros[source] * matrix.sum(axis=1))
    both = np.stack(taken, axis=1)
    dtype = site.tensor(12).dtype
    return packed("biases", dtype, wrap32(both) if dtype is DType.INT32 else both)


def _integer_fields(site: Site, numbers: Integers) -> Fields:
    output, wide = site.tensor(HIDDEN), site.tensor(0).dtype is DType.INT16
    matrices = [place for gate in _GATES for place in (1 + gate, 5 + gate)]
    pairs = scale_pairs(site, [numbers.fed_scale(place) for place in matrices], wide)
    keep, admit, emit = scale_pairs(site, numbers.cell_scales(), False)
    squash_multiplier, squash_shift = _squash(*numbers.squash_scale())
    low, high = numbers.cell_bounds()
    return (
        ("zero", tuple(quant_of(site.tensor(place)).zero_point[0] for place in matrices)),
        ("multiplier", tuple(multiplier for multiplier, _ in pairs)),
        ("shift", tuple(shift for _, shift in pairs)),
        ("keep_multiplier", keep[0]),
        ("keep_shift", keep[1]),
        ("admit_multiplier", admit[0]),
        ("admit_shift", admit[1]),
        ("emit_multiplier", emit[0]),
        ("emit_shift", emit[1]),
        ("squash_multiplier", squash_multiplier),
        ("squash_shift", squash_shift),
        ("cell_low", low),
        ("cell_high", high),
        *result_fields(output),
        ("wide", int(wide)),
    )


def _squash(multiplier: int, shift: int) -> tuple[int, int]:
    """Multiplier and shift of `tanh16`, made such that int32 holds all products of int16 and gives the same."""
    if multiplier == 0:
        multiplier, shift = 3 << shift, 0
    return min(multiplier, _SATURATED), min(shift, 20)
