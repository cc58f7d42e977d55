# SPDX-License-Identifier: Apache-2.0
"""VAR_HANDLE: scalar handle of the variable with the given name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Attrs, Shape, Tensor
from thimble.ops.numerics import Array, Call
from thimble.ops.resources import handle


@dataclass(frozen=True, slots=True)
class VarHandle(Attrs):
    OP: ClassVar[str] = "VAR_HANDLE"
    OPTIONS: ClassVar[str] = "VarHandleOptions"
    container: str = ""
    shared_name: str = ""

    def output_shapes(self, inputs: tuple[Tensor | None, ...]) -> tuple[Shape, ...] | None:
        return None  # the handle is a scalar in most files, a vector of one in some

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The handle, see `resources`.

        Source: tensorflow/lite/micro/kernels/var_handle.cc.
        """
        return (handle(self.container, self.shared_name, call.outputs[0].shape),)
