# SPDX-License-Identifier: Apache-2.0
"""SignalFftAutoScale: int16 shifted left as far as the largest element allows, and by how many bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types

_TYPES = ((DType.INT16,), (DType.INT16, DType.INT32))


@dataclass(frozen=True, slots=True)
class SignalFftAutoScale(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        views = whole(site.tensor(0)), whole(*site.outputs)
        name, header, fields = "signal_fft_auto_scale", "signal_front_end.h", (("size", site.tensor(0).elements),)
        return (KernelCall(name, header, *views, (), name, fields, in_place=((0, 0),)),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The search for the largest element overflows at -32768, and then goes on from there.

        Source: TFLM, signal/src/fft_auto_scale.cc and max_abs.cc.
        """
        check(self.code, call, *_TYPES)
        largest = 0
        for value in call.value(0).reshape(-1).tolist():
            if value > largest:
                largest = value
            elif -value > largest:
                largest = -value if value > -(1 << 15) else value
        bits = max(0, 15 - largest.bit_length()) if largest > 0 else 0
        shifted = (call.value(0).astype(np.int64) << bits).astype(np.int16)
        return shifted.reshape(call.outputs[0].shape), np.array(bits, np.int32).reshape(call.outputs[1].shape)
