# SPDX-License-Identifier: Apache-2.0
"""MAXIMUM: elementwise maximum of two tensors with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Maximum(Binary):
    OP: ClassVar[str] = "MAXIMUM"
    OPTIONS: ClassVar[str] = "MaximumMinimumOptions"
