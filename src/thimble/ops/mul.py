# SPDX-License-Identifier: Apache-2.0
"""MUL: elementwise product with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation
from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Mul(Binary):
    OP: ClassVar[str] = "MUL"
    OPTIONS: ClassVar[str] = "MulOptions"
    fused_activation_function: Activation = Activation.NONE
