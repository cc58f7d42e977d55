# SPDX-License-Identifier: Apache-2.0
"""Thimble fits neural networks into the memory of tiny devices and proves that they fit.

import thimble

model = thimble.load("model.tflite")
print(thimble.memory_map(model).why())
print(thimble.fit(model, board="nucleo-l4r5zi").fits)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thimble.errors import BoardError, InternalError, ModelError, OptionError, ThimbleError
    from thimble.pipeline import demo_model, fit, load, memory_map, optimize
    from thimble.produce import compile_bundle, run

__all__ = [
    "BoardError",
    "InternalError",
    "ModelError",
    "OptionError",
    "ThimbleError",
    "compile_bundle",
    "demo_model",
    "fit",
    "load",
    "memory_map",
    "optimize",
    "run",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import on first use, so that `thimble --help` does not wait for NumPy."""
    if name not in __all__:
        raise AttributeError(f"module 'thimble' has no attribute '{name}'")
    import importlib

    home = "errors" if name.endswith("Error") else "produce" if name in ("compile_bundle", "run") else "pipeline"
    return getattr(importlib.import_module(f"thimble.{home}"), name)
