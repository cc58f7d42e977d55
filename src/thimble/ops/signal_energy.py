# SPDX-License-Identifier: Apache-2.0
"""SignalEnergy: squared magnitude of complex int16 from `start_index` up to `end_index`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types

_TYPES = ((DType.INT16,), (DType.UINT32,))


@dataclass(frozen=True, slots=True)
class SignalEnergy(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        output = site.outputs[0]
        fields = (("size", output.elements), ("start", self.option("start_index")), ("end", self.option("end_index")))
        name, header = "signal_energy", "signal_front_end.h"
        views = whole(site.tensor(0)), whole(output)
        return (KernelCall(name, header, *views, (), name, fields, in_place=((0, 0),)),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Zero outside the range, where TFLM leaves what was in the memory.

        Source: TFLM, signal/src/energy.cc.
        """
        check(self.code, call, *_TYPES)
        pairs = call.value(0).astype(np.int64).reshape(-1, 2)[: call.outputs[0].elements]
        energy = (pairs**2).sum(axis=1)
        index = np.arange(energy.size)
        energy[(index < self.option("start_index")) | (index >= self.option("end_index"))] = 0
        return (energy.astype(np.uint32).reshape(call.outputs[0].shape),)
