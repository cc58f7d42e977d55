# SPDX-License-Identifier: Apache-2.0
"""What TFLM's custom operators for audio share: options from a FlexBuffer, and state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flatbuffers import flexbuffers

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Call, Custom, DType, Tensor
from thimble.kernel import Data, Site


@dataclass(frozen=True, slots=True)
class Signal(Custom):
    """A custom operator whose options are a map of integers."""

    def option(self, name: str) -> int:
        """An option's value.

        Raises:
            UnsupportedOperatorError: it is missing, or the options are damaged.
        """
        try:
            values: Any = flexbuffers.Loads(bytearray(self.options))
        except Exception as error:  # the reader of FlexBuffers raises whatever damaged bytes lead it to
            raise UnsupportedOperatorError(f"{self.code}: its options cannot be read ({error})") from None
        value = values.get(name) if isinstance(values, dict) else None
        if not isinstance(value, int):
            raise UnsupportedOperatorError(f"{self.code}: its option {name} is missing")
        return int(value)

    def state(self, outputs: tuple[Tensor, ...]) -> Tensor | None:
        """A variable that the operator keeps between inferences; compiled graphs have it as their last operand."""
        return None


def check(code: str, call: Call, inputs: tuple[DType, ...], outputs: tuple[DType, ...]) -> None:
    """Raise unless the types are those that TFLM's kernel takes.

    Raises:
        UnsupportedOperatorError: they are others.
    """
    found = tuple(None if t is None else t.dtype for t in call.inputs[: len(inputs)])
    if found != inputs or tuple(t.dtype for t in call.outputs) != outputs:
        names = ", ".join("none" if t is None else t.label for t in found)
        raise UnsupportedOperatorError(f"{code}: there is no reference for operands of type {names}")


def require_types(site: Site, inputs: tuple[DType, ...], outputs: tuple[DType, ...]) -> None:
    """Raise unless the types are those that the kernel takes."""
    if site.types()[: len(inputs)] != inputs or tuple(t.dtype for t in site.outputs) != outputs:
        raise site.unsupported(f"operands must be {', '.join(t.label for t in inputs)}")


def table(site: Site, index: int, name: str) -> Data:
    """A constant operand as an array in flash."""
    tensor = site.constant(index)
    return Data(name, tensor.dtype, (tensor.data or b"")[: tensor.nbytes])
