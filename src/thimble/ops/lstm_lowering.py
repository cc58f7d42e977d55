# SPDX-License-Identifier: Apache-2.0
"""Lowering of the LSTM layer: weights unit by unit, zero points of activations in the biases."""

from __future__ import annotations

import numpy as np

from thimble.ir import Array, Call, DType, Tensor
from thimble.kernel import Data, Fields, Flavour, KernelCall, Site, whole
from thimble.ops.lookup16 import SIGMOID_TABLE
from thimble.ops.lowering import packed
from thimble.ops.lstm import CELL, HIDDEN, Integers
from thimble.ops.numerics import quant_of, quantize_multiplier, wrap32
from thimble.ops.rows_dsp import rows_dsp
from thimble.ops.weighted_wide import result_fields, scale_pairs

_GATES = range(4)
_MATRICES = tuple(place for gate in _GATES for place in (1 + gate, 5 + gate))
"""Operands: of each gate the weights for the input, then those for the hidden state."""
_SATURATED = 255 << 8  # the first argument for which the table's tanh is 1
_TABLE = packed("sigmoid", DType.INT16, np.append(SIGMOID_TABLE, SIGMOID_TABLE[-1]) - (1 << 15))
_FOUR = 4  # units that Helium computes together


def lower_lstm(site: Site, cell_clip: float, time_major: bool) -> tuple[KernelCall, ...]:
    """The call of a layer whose operands are those that its reference takes.

    Kernels: `lstm_s8_dsp.h` and `lstm_s8_mve.h` on int8 if weights have no zero points, else `lstm.h`.
    """
    x = site.tensor(0)
    shape: Fields = (("shape", _shape(x, site.tensor(5), time_major)),)
    if x.dtype is DType.FLOAT32:
        bound = float(np.float32(cell_clip))
        fields: Fields = (*shape, ("clip", int(cell_clip > 0)), ("bound", bound))
        real = (_weights(site), packed("biases", DType.FLOAT32, np.stack(_biases(site), axis=1)))
        return (_call(site, "lstm_f32", "lstm.h", real, "lstm_f32", fields),)
    numbers = Integers(Call((), site.inputs, site.outputs), cell_clip)
    fields = (*shape, ("cell", _cell(site, numbers)))
    plain = x.dtype is DType.INT8 and not any(map(_zero, map(site.tensor, _MATRICES)))
    if plain and site.flavour is Flavour.DSP:
        call = _packed_arithmetic(site, numbers, fields)
        if call is not None and site.allows(call.scratch):
            return (call,)
    helium = plain and site.flavour is Flavour.MVE
    name, header = ("lstm_s8_mve", "lstm_s8_mve.h") if helium else ("lstm_s8", "lstm.h")
    more = -site.tensor(5).shape[0] % _FOUR if helium else 0
    biases = np.pad(_whole_biases(site), ((0, 0), (0, more)))
    constants = (_weights(site, more), packed("biases", site.tensor(12).dtype, biases), _TABLE)
    fields = (*fields, *_matrices(site, numbers), ("biases", biases.shape[1]), ("wide", int(x.dtype is DType.INT16)))
    return (_call(site, name, header, constants, "lstm", fields),)


def _call(
    site: Site, name: str, header: str, constants: tuple[Data, ...], struct: str, fields: Fields, scratch: int = 0
) -> KernelCall:
    x, hidden, cell = site.tensor(0), site.tensor(HIDDEN), site.tensor(CELL)
    reads, writes = whole(x, hidden, cell), whole(site.outputs[0], hidden, cell)
    return KernelCall(name, header, reads, writes, constants, struct, fields, scratch)


def _packed_arithmetic(site: Site, numbers: Integers, fields: Fields) -> KernelCall | None:
    """Both matrices with the rows of a unit's four gates together; None where sums do not fit."""
    biases = _whole_biases(site)
    found = []
    for source, name in enumerate(("input", "hidden")):
        places = _MATRICES[source::2]
        matrix = np.stack([_matrix(site, place) for place in places], axis=1)
        pairs = [quantize_multiplier(numbers.fed_scale(place)) for place in places]
        bias = biases[source::2].T.reshape(-1)
        found.append(rows_dsp(name, matrix.reshape(len(bias), -1), bias, pairs))
    first, second = found
    if first is None or second is None:
        return None
    scales = np.stack([first.scales, second.scales]).reshape(-1).tolist()
    fields = (*fields, ("input", first.fields), ("hidden", second.fields), ("scales", tuple(scales)))
    constants, scratch = (first.data, second.data, _TABLE), first.work_space + second.work_space
    return _call(site, "lstm_s8_dsp", "lstm_s8_dsp.h", constants, "lstm_s8_dsp", fields, scratch)


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


def _zero(tensor: Tensor) -> int:
    return quant_of(tensor).zero_point[0]


def _matrix(site: Site, place: int) -> Array:
    tensor = site.constant(place)
    return np.frombuffer((tensor.data or b"")[: tensor.nbytes], tensor.dtype.label).reshape(tensor.shape)


def _weights(site: Site, more: int = 0) -> Data:
    """`[units,gate,C + units]`, and zeros for `more` units."""
    gates = [np.concatenate([_matrix(site, 1 + gate), _matrix(site, 5 + gate)], axis=1) for gate in _GATES]
    return packed("weights", site.tensor(1).dtype, np.pad(np.stack(gates, axis=1), ((0, more), (0, 0), (0, 0))))


def _biases(site: Site) -> list[Array]:
    """Those of the model, per gate."""
    return [_matrix(site, 12 + gate) for gate in _GATES]


def _whole_biases(site: Site) -> Array:
    """`[matrix,units]`: of each gate for input and hidden state, without those two's zero points."""
    taken = []
    for gate, bias in enumerate(_biases(site)):
        for place, source, given in ((1 + gate, 0, bias.astype(np.int64)), (5 + gate, HIDDEN, 0)):
            matrix = _matrix(site, place).astype(np.int64) - _zero(site.tensor(place))
            taken.append(given - _zero(site.tensor(source)) * matrix.sum(axis=1))
    both = np.stack(taken)
    return wrap32(both) if site.tensor(12).dtype is DType.INT32 else both


def _matrices(site: Site, numbers: Integers) -> Fields:
    wide = site.tensor(0).dtype is DType.INT16
    pairs = scale_pairs(site, [numbers.fed_scale(place) for place in _MATRICES], wide)
    return (
        ("zero", tuple(_zero(site.tensor(place)) for place in _MATRICES)),
        ("multiplier", tuple(multiplier for multiplier, _ in pairs)),
        ("shift", tuple(shift for _, shift in pairs)),
    )


def _cell(site: Site, numbers: Integers) -> Fields:
    keep, admit, emit = scale_pairs(site, numbers.cell_scales(), False)
    squash_multiplier, squash_shift = _squash(*numbers.squash_scale())
    low, high = numbers.cell_bounds()
    (_, zero), (_, out_low), (_, out_high) = result_fields(site.tensor(HIDDEN))
    return (
        ("keep_multiplier", keep[0]),
        ("keep_shift", keep[1]),
        ("admit_multiplier", admit[0]),
        ("admit_shift", admit[1]),
        ("emit_multiplier", emit[0]),
        ("emit_shift", emit[1]),
        ("squash_multiplier", squash_multiplier),
        ("squash_shift", squash_shift),
        ("low", low),
        ("high", high),
        ("out_zero", zero),
        ("out_low", out_low),
        ("out_high", out_high),
    )


def _squash(multiplier: int, shift: int) -> tuple[int, int]:
    """Multiplier and shift of `tanh16`, made such that int32 holds all products of int16 and gives the same."""
    if multiplier == 0:
        multiplier, shift = 3 << shift, 0
    return min(multiplier, _SATURATED), min(shift, 20)
