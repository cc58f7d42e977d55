# SPDX-License-Identifier: Apache-2.0
"""The compiler as a whole: real models compiled for the host against the NumPy references."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiled import check_compiled
from thimble.pipeline import load


@pytest.mark.models
@pytest.mark.parametrize("name", ["ad01_int8"])
def test_compiled_models_equal_the_reference(models_dir: Path, name: str) -> None:
    check_compiled(load(models_dir / f"{name}.tflite"))
