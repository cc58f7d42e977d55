# SPDX-License-Identifier: Apache-2.0
"""ADD: elementwise sum with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation
from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Add(Binary):
    OP: ClassVar[str] = "ADD"
    OPTIONS: ClassVar[str] = "AddOptions"
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = True
