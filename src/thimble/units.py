# SPDX-License-Identifier: Apache-2.0
"""Byte counts and times as people write and read them. k, M and G are powers of 1024."""

from __future__ import annotations

import re

from thimble.errors import OptionError

_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_bytes(text: str, what: str) -> int:
    """`262144`, `256k`, `256KiB`, `0.25M` as a number of bytes.

    Raises:
        OptionError: anything else; `what` names the option.
    """
    match = re.fullmatch(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*([kmg]?)(?:i?b)?\s*", text.lower())
    if match is None:
        raise OptionError(f"{what}: '{text}' is not a size; write 262144, 256k or 0.25M (k, M, G are powers of 1024)")
    return int(float(match[1].replace(",", "").replace("_", "")) * _FACTORS[match[2]])


def parse_seconds(text: str, what: str) -> float:
    """`1s`, `250ms`, `0.5`, `2min` as seconds.

    Raises:
        OptionError: anything else; `what` names the option.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h)?\s*", text.lower())
    if match is None or not float(match[1]):
        raise OptionError(f"{what}: '{text}' is not a time; write 1s, 250ms or 2min")
    return float(match[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}[match[2] or "s"]


def human(count: int) -> str:
    """A byte count in the largest unit that keeps it at or above one: `22.3 KiB`."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(count) >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"


def exact(count: int) -> str:
    """Bytes to the byte, with the human unit beside them: `22,820 B (22.3 KiB)`."""
    return f"{count:,} B" if abs(count) < 1024 else f"{count:,} B ({human(count)})"
