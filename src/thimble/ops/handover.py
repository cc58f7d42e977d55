# SPDX-License-Identifier: Apache-2.0
"""Rows that pass between the application and the network one after another. These operators are in no model file.

TAKE_ROWS stands between an input that the application hands over and those who read it, GIVE_ROWS between a result and
the output as the application takes it. Nothing is computed: at its turn generated code stops and returns to its caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Rows, Tensor
from thimble.kernel import GIVE_ROW, TAKE_ROW, KernelCall, Site, whole
from thimble.ops.elementwise import Unary
from thimble.ops.numerics import Array, Call


@dataclass(frozen=True, slots=True)
class Handover(Unary):
    """What both have in common: result and operand are the same image."""

    def reference(self, call: Call) -> tuple[Array, ...]:
        """The operand."""
        return (call.value(0),)


@dataclass(frozen=True, slots=True)
class TakeRows(Handover):
    OP: ClassVar[str] = "TAKE_ROWS"

    def input_rows(self, inputs: tuple[Tensor | None, ...], output: Tensor) -> tuple[Rows | None, ...] | None:
        """None of anything in the arena."""
        return (None,)

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """The application writes the row."""
        return (KernelCall(TAKE_ROW, "", (), whole(*site.outputs)),)


@dataclass(frozen=True, slots=True)
class GiveRows(Handover):
    OP: ClassVar[str] = "GIVE_ROWS"

    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """The application reads the row."""
        return (KernelCall(GIVE_ROW, "", whole(site.tensor(0)), ()),)
