# SPDX-License-Identifier: Apache-2.0
"""Seeded weights: the same seed gives the same integers on every machine and with every NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPREAD = 36.95  # standard deviation of `Stream.weights`, in steps


class Stream:
    """Random integers from the raw bits of PCG64.

    NumPy keeps the raw bits of a bit generator stable from version to version, but not the distributions of
    `Generator`: hence only the bits are used, and the bell shape comes from summing bytes.

    Source: NumPy enhancement proposal 19, "Random number generator policy".
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def octets(self, count: int) -> npt.NDArray[np.uint8]:
        """`[count]` uniform bytes."""
        raw = np.asarray(self._bits.random_raw(-(-count // 8)), dtype="<u8")
        return raw.view(np.uint8)[:count]

    def weights(self, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
        """Bell-shaped integers from -127 to 127 with mean 0 and deviation `SPREAD`: a quarter of four bytes' sum."""
        count = int(np.prod(shape))
        total = self.octets(4 * count).reshape(count, 4).sum(axis=1, dtype=np.int16) - 510
        quarter: npt.NDArray[np.int8] = np.clip(np.rint(total / 4), -127, 127).astype(np.int8)
        return quarter.reshape(shape)

    def factors(self, count: int, low: float, high: float) -> npt.NDArray[np.float64]:
        """`[count]` uniform real numbers from `low` to `high`."""
        result: npt.NDArray[np.float64] = low + (high - low) * (self.octets(count).astype(np.float64) / 255)
        return result
