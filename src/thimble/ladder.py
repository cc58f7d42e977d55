# SPDX-License-Identifier: Apache-2.0
"""The ladder of ways to need less memory, as values: what each rung reaches, and the verdict for a board."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung's result. `lower_bound_bytes` holds for the rung's freedom; `proven` says the two meet.

    `persistent_bytes` is TFLM's own bookkeeping, `total_bytes` the arena in all as `arena_used_bytes()` reports
    it, and `ram_bytes` what `tensor_arena` must have for TFLM to start: planning can need more than is used.
    """

    rung: int
    name: str
    arena_bytes: int
    lower_bound_bytes: int
    extra_macs_ratio: float
    seconds: float
    persistent_bytes: int
    total_bytes: int
    ram_bytes: int

    @property
    def proven(self) -> bool:
        return self.arena_bytes == self.lower_bound_bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device offers: bytes of the largest contiguous RAM, and of flash; None for no limit.

    `shared`: the device has no flash, and its RAM holds the model beside the activations.
    """

    ram: int | None
    flash: int | None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Clash:
    """What stands in the way: the tensors live together at the operator that holds the peak."""

    operator: str
    tensors: tuple[tuple[str, int], ...]
    ram_excess: int
    flash_excess: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Answer of `fit`. `chosen` is the rung that fits at the least price, None when none does."""

    device: str
    target: str
    limits: Limits
    rungs: tuple[Rung, ...]
    chosen: Rung | None
    ram_bytes: int
    flash_bytes: int
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
