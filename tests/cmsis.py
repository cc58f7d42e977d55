# SPDX-License-Identifier: Apache-2.0
"""CMSIS-NN for the tests, which is not part of the repository: its folder is in the environment variable CMSIS_NN."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from thimble.host import host_compiler

FOLDER = os.environ.get("CMSIS_NN", "")
needs_cmsis_nn = pytest.mark.skipif(
    not (Path(FOLDER) / "Include" / "arm_nnfunctions.h").is_file() or not FOLDER,
    reason="CALLS INTO CMSIS-NN ARE NOT TESTED: set CMSIS_NN to a checkout of it",
)
_KINDS = ("s8", "s8_opt", "s8_fast", "3x3_s8", "sizes_s8", "s8_s16", "offset", "padded_s8", "core", "nntables")
_OTHERS = ("s4", "lstm", "transpose_conv", "mul_acc")


def include_flags() -> tuple[str, ...]:
    """Its headers are not held to our warnings."""
    return ("-isystem", str(Path(FOLDER) / "Include"))


def everything() -> str:
    """One C text with all int8 functions; their warnings are their own affair."""
    sources = sorted((Path(FOLDER) / "Source").rglob("*.c"))
    wanted = [path for path in sources if any(path.stem.endswith(f"_{kind}") for kind in _KINDS)]
    lines = [f'#include "{path}"' for path in wanted if not any(other in path.stem for other in _OTHERS)]
    return "\n".join(["#pragma GCC system_header", *lines]) + "\n"


def host_object(folder: Path) -> Path:
    """Compiled for this machine."""
    source, made = folder / "cmsis_nn.c", folder / "cmsis_nn.o"
    source.write_text(everything(), encoding="utf-8")
    command = [*host_compiler(), "-O1", "-w", "-fPIC", *include_flags(), "-c", str(source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return made
