# SPDX-License-Identifier: Apache-2.0
"""READ_VARIABLE: value of the variable whose handle is operand 0.

Compiled graphs name the variable itself instead of a handle, see `rewrites/resolve_resources.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site
from thimble.ops.lowering import copied
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import key_of, untouched


@dataclass(frozen=True, slots=True)
class ReadVariable(Attrs):
    OP: ClassVar[str] = "READ_VARIABLE"
    OPTIONS: ClassVar[str] = "ReadVariableOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # a handle does not tell what was assigned to it

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """A copy of the variable."""
        variable, output = site.tensor(0), site.outputs[0]
        if variable.dtype is DType.RESOURCE:
            raise site.unsupported("it reads through a handle")
        if (variable.dtype, variable.nbytes) != (output.dtype, output.nbytes):
            raise site.unsupported(f"it reads {output.nbytes} bytes from a variable of {variable.nbytes}")
        return copied(site)

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The value that was assigned last; the zero point before that.

        Source: tensorflow/lite/micro/kernels/read_variable.cc.
        """
        target = call.outputs[0]
        direct = call.tensor(0).dtype is not DType.RESOURCE
        value = call.value(0) if direct else call.state.get(key_of(call.value(0)))
        return (untouched(target) if value is None else value.reshape(target.shape).copy(),)
