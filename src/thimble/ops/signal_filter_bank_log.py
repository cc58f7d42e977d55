# SPDX-License-Identifier: Apache-2.0
"""SignalFilterBankLog: natural logarithm in fixed point, times `output_scale`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.lowering import packed
from thimble.ops.signal import Signal, check, require_types

_TYPES = ((DType.UINT32,), (DType.INT16,))
_LN_2 = 45426  # in Q16

BENDS = tuple(round((math.log2(1 + i / 128) - i / 128) * 65536) for i in range(129))
"""How far log2(1 + x) is above x, in Q16."""


@dataclass(frozen=True, slots=True)
class SignalFilterBankLog(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        x = site.tensor(0)
        scale, bits = self.option("output_scale"), self.option("input_correction_bits")
        fields = (("channels", x.elements), ("scale", scale), ("bits", bits))
        name, header, bends = "signal_log", "signal_front_end.h", packed("logarithms", DType.UINT16, BENDS)
        return (KernelCall(name, header, whole(x), whole(*site.outputs), (bends,), name, fields),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Numbers up to one give zero.

        Source: TFLM, signal/src/filter_bank_log.cc and log.cc.
        """
        check(self.code, call, *_TYPES)
        scale, bits = self.option("output_scale"), self.option("input_correction_bits")
        values = [(value << bits) % (1 << 32) for value in call.value(0).reshape(-1).tolist()]
        logs = [min(scaled_log(value, scale), (1 << 15) - 1) if value > 1 else 0 for value in values]
        return (np.array(logs, np.int16).reshape(call.outputs[0].shape),)


def scaled_log(value: int, scale: int) -> int:
    """log(value) * scale, by 128 straight pieces per power of two."""
    power = value.bit_length() - 1
    part = ((value - (1 << power)) << 16) >> power
    piece = part >> 9
    bend = BENDS[piece] + (((BENDS[piece + 1] - BENDS[piece]) * (part - (piece << 9))) >> 16)
    natural = (_LN_2 * ((power << 16) + part + bend) + (1 << 15)) >> 16
    return ((scale * natural + (1 << 15)) % (1 << 32)) >> 16
