# SPDX-License-Identifier: Apache-2.0
"""L2_NORMALIZATION: division by the Euclidean norm along the last axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ir import Activation
from thimble.ops.elementwise import Unary


@dataclass(frozen=True, slots=True)
class L2Normalization(Unary):
    OP: ClassVar[str] = "L2_NORMALIZATION"
    OPTIONS: ClassVar[str] = "L2NormOptions"
    fused_activation_function: Activation = Activation.NONE
