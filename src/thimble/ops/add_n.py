# SPDX-License-Identifier: Apache-2.0
"""ADD_N: elementwise sum of any number of tensors of one shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from thimble.ir import Activation, Attrs, DType, Shape, Tensor, require
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.arithmetic import accept, centred, plain, rescaled, scale_of, stored
from thimble.ops.bytewise import bytewise
from thimble.ops.lowering import copied
from thimble.ops.numerics import Array, Call, quant_of
from thimble.ops.pointwise import common_type, plain_f32
from thimble.ops.scaling import factor_of, reach, result, zero_of
from thimble.ops.shapes import operand


@dataclass(frozen=True, slots=True)
class AddN(Attrs):
    OP: ClassVar[str] = "ADD_N"
    OPTIONS: ClassVar[str] = "AddNOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        shapes = [operand(inputs, i, "input").shape for i in range(max(1, len(inputs)))]
        require(len(set(shapes)) == 1, f"the shapes {[list(s) for s in shapes]} differ, one for all is required")
        return (shapes[0],)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernels: `pairwise_f32.h`, `add_n_s8.h`, `table_8.h`, `copy.h`."""
        dtype, out = common_type(site, DType.FLOAT32, DType.INT8), site.outputs[0]
        if len(site.inputs) == 1:
            return copied(site) if dtype is DType.FLOAT32 else bytewise(site, self)
        if dtype is DType.FLOAT32:
            sums = [(site.tensor(0), site.tensor(1)), *((out, site.tensor(i)) for i in range(2, len(site.inputs)))]
            calls = [plain_f32(replace(site, inputs=pair), "add_f32", Activation.NONE) for pair in sums]
            return tuple(call for part in calls for call in part)
        return self._lower_quantized(site)

    def _lower_quantized(self, site: Site) -> tuple[KernelCall, ...]:
        """All operands in one pass: a sum that is interrupted would have to be kept in int32."""
        x, out, count = site.tensor(0), site.outputs[0], len(site.inputs)
        if count > _MOST_OPERANDS:
            raise site.unsupported(f"{count} operands of int8; supported are {_MOST_OPERANDS}")
        operands = tuple(site.tensor(min(i, count - 1)) for i in range(_MOST_OPERANDS))
        factor = 2 * factor_of(x) / ((1 << 20) * factor_of(out))
        fields = (
            ("count", out.elements),
            ("operands", count),
            ("zero", (count + 1) * zero_of(x)),
            ("bits", 19),
            ("out", result(out, factor, (count + 1) * reach(x) << 19)),
        )
        share = tuple((i, 0) for i in range(count))
        name = "add_n_s8"
        call = KernelCall(name, f"{name}.h", whole(*operands), whole(out), (), name, fields, in_place=share)
        return (call,) if out.elements else ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Sum; int8 operands have one scale and are rescaled to the output.

        Source: tensorflow/lite/micro/kernels/add_n.cc, tensorflow/lite/kernels/internal/reference/add_n.h.
        """
        out, operands = call.outputs[0], range(len(call.inputs))
        if accept(self.OP, call, DType.FLOAT32, DType.INT8) is DType.FLOAT32:
            total: Array = np.zeros(out.shape, np.float32)
            for i in operands:
                total = total + call.value(i)
            return (plain(total, out),)
        twice = 2 * float(scale_of(call.tensor(0)))
        zero = np.int64(-quant_of(call.tensor(0)).zero_point[0])  # TFLM's sum starts here, not at 0
        raw = rescaled(zero << 20, 0.5) + sum(rescaled(centred(call, i) << 20, 0.5) for i in operands)
        return (stored(rescaled(raw, twice / ((1 << 20) * float(scale_of(out)))), out),)


_MOST_OPERANDS = 8
