# SPDX-License-Identifier: Apache-2.0
"""RELU: `max(x, 0)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, DType
from thimble.kernel import KernelCall, Site
from thimble.ops import scaling
from thimble.ops.arithmetic import accept, centred, of_floats, rescaled, scale_of, stored
from thimble.ops.bytewise import bytewise, is_bytewise
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call
from thimble.ops.pointwise import common_type, each


@dataclass(frozen=True, slots=True)
class Relu(Unary):
    OP: ClassVar[str] = "RELU"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `unary_f32.h`, `table_8.h`, `rescale.h`."""
        if is_bytewise(site):
            return bytewise(site, self)
        if common_type(site, DType.FLOAT32, DType.INT16) is DType.FLOAT32:
            return each(site, "relu_f32", "unary_f32.h")
        return scaling.rescaled(site, Activation.RELU)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """`max(x, 0)`, rescaled to the output.

        Source: tensorflow/lite/micro/kernels/activations_common.cc.
        """
        if accept(self.OP, call, DType.FLOAT32, DType.INT8, DType.INT16) is DType.FLOAT32:
            return of_floats(self.OP, call, lambda x: np.maximum(x, np.float32(0)))
        out = call.outputs[0]
        multiplier = float(scale_of(call.tensor(0))) / float(scale_of(out))
        return (stored(rescaled(centred(call, 0), multiplier), out, Activation.RELU),)
