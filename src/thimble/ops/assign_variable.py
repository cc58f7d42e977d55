# SPDX-License-Identifier: Apache-2.0
"""ASSIGN_VARIABLE: stores operand 1 in the variable whose handle is operand 0; no output.

Compiled graphs name the variable itself instead of a handle, see `rewrites/resolve_resources.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, DType, Shape, Tensor
from thimble.kernel import KernelCall, Site, whole
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import key_of


@dataclass(frozen=True, slots=True)
class AssignVariable(Attrs):
    OP: ClassVar[str] = "ASSIGN_VARIABLE"
    OPTIONS: ClassVar[str] = "AssignVariableOptions"

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return ()

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """A copy into the variable. Kernel: `copy.h`."""
        variable, value = site.tensor(0), site.tensor(1)
        if variable.dtype is DType.RESOURCE:
            raise site.unsupported("it assigns through a handle")
        if (variable.dtype, variable.nbytes) != (value.dtype, value.nbytes):
            raise site.unsupported(f"it assigns {value.nbytes} bytes to a variable of {variable.nbytes}")
        fields = (("bytes", value.nbytes),)
        call = KernelCall("copy", "copy.h", whole(value), whole(variable), struct="copy", fields=fields)
        return (call,) if value.nbytes else ()

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Keep a copy of operand 1.

        Source: tensorflow/lite/micro/kernels/assign_variable.cc.
        """
        if call.tensor(0).dtype is DType.RESOURCE:
            call.state[key_of(call.value(0))] = call.value(1).copy()
        else:
            call.value(0)[...] = call.value(1).reshape(call.value(0).shape)
        return ()
