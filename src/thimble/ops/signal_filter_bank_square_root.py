# SPDX-License-Identifier: Apache-2.0
"""SignalFilterBankSquareRoot: rounded square roots of uint64, shifted right by the bits in operand 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types

_TYPES = ((DType.UINT64, DType.INT32), (DType.UINT32,))


@dataclass(frozen=True, slots=True)
class SignalFilterBankSquareRoot(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        views = whole(site.tensor(0), site.tensor(1)), whole(*site.outputs)
        name, header = "signal_square_root", "signal_front_end.h"
        return (KernelCall(name, header, *views, (), name, (("size", site.tensor(0).elements),)),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Source: TFLM, signal/src/filter_bank_square_root.cc, square_root_32.cc and square_root_64.cc."""
        check(self.code, call, *_TYPES)
        shift = int(call.value(1).reshape(-1)[0])
        roots = [rounded_root(value) >> shift for value in call.value(0).reshape(-1).tolist()]
        return (np.array(roots, np.uint32).reshape(call.outputs[0].shape),)


def rounded_root(value: int) -> int:
    """The nearest square root; it stays within half the bits that the number may have."""
    root = math.isqrt(value)
    most = 0xFFFF if value < 1 << 32 else 0xFFFFFFFF
    return root + 1 if value - root * root > root and root != most else root
