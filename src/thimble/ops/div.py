# SPDX-License-Identifier: Apache-2.0
"""DIV: elementwise quotient with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation
from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Div(Binary):
    OP: ClassVar[str] = "DIV"
    OPTIONS: ClassVar[str] = "DivOptions"
    fused_activation_function: Activation = Activation.NONE
