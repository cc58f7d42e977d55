# SPDX-License-Identifier: Apache-2.0
"""SignalWindow: frames of int16 times a window (operand 1), shifted right by `shift` bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types, table

_TYPES = ((DType.INT16, DType.INT16), (DType.INT16,))


@dataclass(frozen=True, slots=True)
class SignalWindow(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        x, window = site.tensor(0), table(site, 1, "window")
        fields = (("frames", x.elements // window.elements), ("size", window.elements), ("shift", self.option("shift")))
        views = whole(x), whole(*site.outputs)
        name, header = "signal_window", "signal_front_end.h"
        return (KernelCall(name, header, *views, (window,), name, fields, in_place=((0, 0),)),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Products saturate.

        Source: TFLM, signal/src/window.cc.
        """
        check(self.code, call, *_TYPES)
        window = call.value(1).astype(np.int64).reshape(-1)
        products = (call.value(0).astype(np.int64).reshape(-1, window.size) * window) >> self.option("shift")
        return (np.clip(products, -(1 << 15), (1 << 15) - 1).astype(np.int16).reshape(call.outputs[0].shape),)
