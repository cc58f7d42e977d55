# SPDX-License-Identifier: Apache-2.0
"""SignalFilterBankSpectralSubtraction: a signal less its noise, which is estimated by a low pass from call to call.

Results: the signal, and the estimate, which is also the operator's state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.ir import Array, Call, DType, Kind, Tensor, TensorId
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.signal import Signal, check, require_types

_TYPES = ((DType.UINT32,), (DType.UINT32, DType.UINT32))


@dataclass(frozen=True, slots=True)
class SignalFilterBankSpectralSubtraction(Signal):
    def state(self, outputs: tuple[Tensor, ...]) -> Tensor | None:
        """The estimate, zero at first."""
        like = outputs[1]
        return Tensor(TensorId(0), f"{like.name}_state", like.shape, DType.UINT32, None, Kind.VARIABLE)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_front_end.h`."""
        require_types(site, *_TYPES)
        x, state = site.tensor(0), site.tensor(1)
        names = ("smoothing", "one_minus_smoothing", "alternate_smoothing", "alternate_one_minus_smoothing")
        others = ("min_signal_remaining", "smoothing_bits", "spectral_subtraction_bits", "clamping")
        fields = (("channels", x.elements), *((name, self.option(name)) for name in (*names, *others)))
        name, header = "signal_spectral_subtraction", "signal_front_end.h"
        return (KernelCall(name, header, whole(x, state), whole(state, *site.outputs), (), name, fields),)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Odd channels have their own smoothing.

        Source: TFLM, signal/src/filter_bank_spectral_subtraction.cc.
        """
        check(self.code, call, *_TYPES)
        bits, shift = self.option("spectral_subtraction_bits"), self.option("smoothing_bits")
        signal = call.value(0).reshape(-1).astype(np.uint64)
        odd = np.arange(signal.size) % 2 == 1
        smoothing, rest = (
            np.where(odd, self.option(f"alternate_{name}"), self.option(name)).astype(np.uint64)
            for name in ("smoothing", "one_minus_smoothing")
        )
        state = self._state(call)
        scaled = (signal << np.uint64(shift)) & np.uint64(0xFFFFFFFF)
        estimate = ((scaled * smoothing + state * rest) >> np.uint64(bits)) & np.uint64(0xFFFFFFFF)
        used = np.minimum(estimate, scaled)
        kept = used if self.option("clamping") else estimate
        least = ((signal * np.uint64(self.option("min_signal_remaining"))) >> np.uint64(bits)) & np.uint64(0xFFFFFFFF)
        left = (scaled - used) >> np.uint64(shift)
        state[...] = kept.astype(np.uint32)
        shapes = [tensor.shape for tensor in call.outputs]
        return np.maximum(left, least).astype(np.uint32).reshape(shapes[0]), state.reshape(shapes[1]).copy()

    def _state(self, call: Call) -> Array:
        """The variable where there is one, else an array in the executor's state by the estimate's name."""
        if len(call.values) > 1:
            return call.value(1).reshape(-1)
        key = (self.code, call.outputs[1].id, call.outputs[1].name)
        return call.state.setdefault(key, np.zeros(call.outputs[1].elements, np.uint32))
