# SPDX-License-Identifier: Apache-2.0
"""SignalFilterBank: energies summed over overlapping triangles, the rising half of one the falling half of another.

Operands 1 to 5: weights, 1 - weights, and per channel the first energy, the first weight and how many there are. The
channel before the first only supplies its falling half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types, table

_TYPES = ((DType.UINT32, *(DType.INT16,) * 5), (DType.UINT64,))
_TABLES = ("weights", "unweights", "frequency starts", "weight starts", "widths")


@dataclass(frozen=True, slots=True)
class SignalFilterBank(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        tables = tuple(table(site, i + 1, name) for i, name in enumerate(_TABLES))
        fields = (("channels", self.option("num_channels")),)
        name, header = "signal_filter_bank", "signal_front_end.h"
        return (KernelCall(name, header, whole(site.tensor(0)), whole(*site.outputs), tables, name, fields),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sums modulo 2**64.

        Source: TFLM, signal/src/filter_bank.cc.
        """
        check(self.code, call, *_TYPES)
        energy = call.value(0).reshape(-1).astype(np.uint64)
        rising, falling = (call.value(i).astype(np.int64).astype(np.uint64) for i in (1, 2))
        starts, weight_starts, widths = (call.value(i).astype(np.int64) for i in (3, 4, 5))
        sums, carried = [], np.uint64(0)
        for start, first, width in zip(starts, weight_starts, widths, strict=True):
            cells = energy[start : start + width]
            with np.errstate(over="ignore"):
                sums.append(carried + (rising[first : first + width] * cells).sum(dtype=np.uint64))
            carried = (falling[first : first + width] * cells).sum(dtype=np.uint64)
        count = self.option("num_channels")
        return (np.array(sums[1 : count + 1], np.uint64).reshape(call.outputs[0].shape),)
