# SPDX-License-Identifier: Apache-2.0
"""SignalPCAN: gain control per channel, by a noise estimate (operand 1) and a table of gains (operand 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types, table

_TYPES = ((DType.UINT32, DType.UINT32, DType.INT16), (DType.UINT32,))
_ENTRIES = 125
"""Of the table: two constants and, per power of two, three coefficients and a gap."""


@dataclass(frozen=True, slots=True)
class SignalPCAN(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        gains = table(site, 2, "gains")
        if gains.elements < _ENTRIES:
            raise site.unsupported(f"a table of {gains.elements} gains; it must have {_ENTRIES}")
        fields = (("channels", site.tensor(0).elements), ("shift", self.option("snr_shift")))
        views = whole(site.tensor(0), site.tensor(1)), whole(*site.outputs)
        name, header = "signal_pcan", "signal_front_end.h"
        return (KernelCall(name, header, *views, (gains,), name, fields, in_place=((0, 0), (1, 0))),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The ratio of signal to noise has 12 fraction bits, the result 6.

        Source: TFLM, signal/src/pcan_argc_fixed.cc.
        """
        check(self.code, call, *_TYPES)
        gains = call.value(2).astype(np.int64).tolist()
        shift = self.option("snr_shift")
        pairs = zip(call.value(0).reshape(-1).tolist(), call.value(1).reshape(-1).tolist(), strict=True)
        ratios = [(((x * (gain(noise, gains) % (1 << 32))) % (1 << 64)) >> shift) % (1 << 32) for x, noise in pairs]
        return (np.array([shrunk(ratio) for ratio in ratios], np.uint32).reshape(call.outputs[0].shape),)


def gain(noise: int, table: list[int]) -> int:
    """A parabola per power of two, in int16."""
    if noise <= 2:
        return table[noise]
    interval = noise.bit_length()
    constant, slope, bend = table[4 * interval - 6 : 4 * interval - 3]
    part = ((noise << 11) >> interval) & 0x3FF
    result = (((((bend * part) >> 5) + (slope << 5)) * part + (1 << 14)) >> 15) + constant
    return (result + (1 << 15)) % (1 << 16) - (1 << 15)


def shrunk(ratio: int) -> int:
    """x**2 / 4 below 2, x - 1 above."""
    return (ratio * ratio) >> 20 if ratio < 2 << 12 else (ratio >> 6) - (1 << 6)
