# SPDX-License-Identifier: Apache-2.0
"""Writing files and folders so that nothing half-written is ever left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from thimble.errors import OptionError


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary name in the same folder, then rename.

    Raises:
        OptionError: the folder does not exist, is not writable, or the disk is full.
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise OptionError(f"{path}: cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_folder(folder: Path, files: Mapping[str, str], replaces: frozenset[str] = frozenset()) -> None:
    """Write a folder of texts whole or not at all: to a temporary one beside it, which then takes its place.

    Files that are there already stay, but for those that `replaces` names and those that are written.

    Raises:
        OptionError: it cannot be written, or is the current folder or one above it.
    """
    target = folder.resolve()
    if Path.cwd().is_relative_to(target):
        raise OptionError(f"{folder}: is the current folder or above it; give a folder of its own")
    temporary = retired = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        temporary.chmod(0o777 & ~_umask())
        for name, text in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            retired = temporary.with_name(f"{temporary.name}.old")
            target.rename(retired)
        temporary.rename(target)
    except OSError as error:
        if retired is not None and retired.exists() and not target.exists():
            retired.rename(target)
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise OptionError(f"{folder}: cannot be written: {error.strerror or error}") from None
    if retired is not None:
        _carry_over(retired, target, {retired / name for name in replaces})
        shutil.rmtree(retired, ignore_errors=True)


def _carry_over(old: Path, new: Path, dropped: set[Path]) -> None:
    """Move what is not dropped from one folder to the other, where nothing of that name is."""
    for entry in sorted(old.iterdir()):
        twin = new / entry.name
        if entry in dropped:
            continue
        shared = twin.is_dir() or any(entry in path.parents for path in dropped)
        if entry.is_dir() and not entry.is_symlink() and shared:
            made = not twin.exists()
            twin.mkdir(exist_ok=True)
            _carry_over(entry, twin, dropped)
            if made and not any(twin.iterdir()):
                twin.rmdir()
        elif not twin.exists() and not twin.is_symlink():
            entry.rename(twin)
