# SPDX-License-Identifier: Apache-2.0
"""The ladder of ways to need less memory, as values: what each rung reaches, and the verdict for a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NAMES = ("shipped", "reorder", "pack", "merge", "overlap", "stream", "recompute")
"""Of the rungs that are bit-exact and stay within the chip's own memory."""
Runtime = Literal["tflm", "thimble"]
"""Who runs the model: stock TFLM, or the C code of `thimble compile`."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rung as C code.

    `flash_bytes` (code and constants), `static_bytes` and `stack_bytes` are as linked for the target; None where that
    is not known.
    """

    kernels: str
    arena_bytes: int
    lower_bound_bytes: int
    macs: int
    extra_macs_ratio: float
    constant_bytes: int
    flash_bytes: int | None = None
    static_bytes: int | None = None
    stack_bytes: int | None = None

    @property
    def known(self) -> bool:
        """Whether RAM and flash are known in full, not only arena and constants."""
        return None not in (self.flash_bytes, self.static_bytes, self.stack_bytes)

    @property
    def ram_bytes(self) -> int:
        """RAM in all, as far as it is known."""
        return self.arena_bytes + (self.static_bytes or 0) + (self.stack_bytes or 0)

    @property
    def least_flash_bytes(self) -> int:
        """Flash in all, as far as it is known."""
        return self.constant_bytes if self.flash_bytes is None else self.flash_bytes


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung's result. `lower_bound_bytes` holds for the rung's freedom; `proven` says the two meet.

    Rungs 0 to 2 are stock TFLM's, and `compiled` is C code with the same freedom. `persistent_bytes` is TFLM's own
    bookkeeping, `total_bytes` the arena in all as `arena_used_bytes()` reports it, and `ram_bytes` what `tensor_arena`
    must have for TFLM to start: planning can need more than is used. The rungs above exist as C code only; all figures
    are that code's.
    """

    rung: int
    name: str
    arena_bytes: int
    lower_bound_bytes: int
    extra_macs_ratio: float
    seconds: float
    ram_bytes: int
    persistent_bytes: int | None = None
    total_bytes: int | None = None
    compiled: Compiled | None = None

    @property
    def proven(self) -> bool:
        return self.arena_bytes == self.lower_bound_bytes

    @property
    def runs_on_tflm(self) -> bool:
        return self.total_bytes is not None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device offers: bytes of the largest contiguous RAM, and of flash; None for no limit.

    `shared`: the device has no flash, and its RAM holds the model beside the activations.
    """

    ram: int | None
    flash: int | None
    shared: bool = False

    def excess(self, ram: int, flash: int) -> tuple[int, int]:
        """Bytes by which a need for RAM (besides what is shared) and flash is too large."""
        need = ram + (flash if self.shared else 0)
        over_ram = 0 if self.ram is None else max(0, need - self.ram)
        return over_ram, 0 if self.flash is None else max(0, flash - self.flash)


@dataclass(frozen=True, slots=True)
class Clash:
    """What stands in the way: the tensors live together at the operator that holds the peak of the shipped order."""

    operator: str
    tensors: tuple[tuple[str, int], ...]
    ram_excess: int
    flash_excess: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Answer of `fit`. `chosen` is the rung that fits at the least price, None when none does.

    `closest` is the chosen rung, or what comes closest to fitting; `runtime` runs it, and RAM and flash are what it
    needs. They are `exact` where everything is known that counts; else they are the part that is known.
    """

    device: str
    target: str
    limits: Limits
    rungs: tuple[Rung, ...]
    chosen: Rung | None
    closest: Rung
    runtime: Runtime
    ram_bytes: int
    flash_bytes: int
    exact: bool
    peak_operator: str
    why: str
    clash: Clash | None
    notices: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return self.clash is None


def within(need: int, limit: int | None) -> bool:
    """Whether `need` bytes fit a limit that may be absent."""
    return limit is None or need <= limit
