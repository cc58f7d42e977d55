# SPDX-License-Identifier: Apache-2.0
"""MINIMUM: elementwise minimum of two tensors with broadcasting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thimble.ops.elementwise import Binary


@dataclass(frozen=True, slots=True)
class Minimum(Binary):
    OP: ClassVar[str] = "MINIMUM"
    OPTIONS: ClassVar[str] = "MaximumMinimumOptions"
