# SPDX-License-Identifier: Apache-2.0
"""What a builder knows of a tensor: its quantization and how its elements are expected to be distributed.

Untrained networks need activation scales too. Instead of running sample data, the builder follows the mean and
the standard deviation of each tensor through the network, as batch normalization would hold them: every
convolution's output is brought to mean 0 and deviation 1 by its weights' scale and its bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.ir import Activation, Quant, Shape, TensorId

TAIL = 4.0  # deviations on each side of the mean that an activation's range covers


@dataclass(frozen=True, slots=True)
class Stats:
    """Expected mean and standard deviation of a tensor's real values."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Value:
    """An activation of a network that is being built."""

    id: TensorId
    shape: Shape
    quant: Quant
    stats: Stats

    @property
    def scale(self) -> float:
        return self.quant.scale[0]

    @property
    def channels(self) -> int:
        return self.shape[-1]


def affine(low: float, high: float) -> Quant:
    """int8 quantization that represents 0 exactly and spans `[low, high]`."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255))
    return Quant((scale,), (max(-128, min(127, round(-128 - low / scale))),))


def rectified(stats: Stats) -> Stats:
    """Distribution of `max(x, 0)` for a normally distributed x."""
    ratio = stats.mean / stats.std
    density = math.exp(-ratio * ratio / 2) / math.sqrt(2 * math.pi)
    above = (1 + math.erf(ratio / math.sqrt(2))) / 2
    mean = stats.mean * above + stats.std * density
    square = (stats.mean**2 + stats.std**2) * above + stats.mean * stats.std * density
    return Stats(mean, math.sqrt(max(square - mean * mean, 1e-6)))


def activated(stats: Stats, activation: Activation) -> tuple[Stats, Quant]:
    """Distribution and quantization of an activation function's result for a normally distributed operand."""
    high = stats.mean + TAIL * stats.std
    if activation is Activation.NONE:
        return stats, affine(stats.mean - TAIL * stats.std, high)
    if activation is Activation.RELU6:
        high = 6.0
    return rectified(stats), affine(0.0, high)


def summed(a: Stats, b: Stats) -> Stats:
    """Distribution of the sum of two independent values."""
    return Stats(a.mean + b.mean, math.hypot(a.std, b.std))


def multiplied(a: Stats, b: Stats) -> Stats:
    """Distribution of the product of two independent values."""
    variance = (a.std * b.std) ** 2 + (a.std * b.mean) ** 2 + (a.mean * b.std) ** 2
    return Stats(a.mean * b.mean, math.sqrt(variance))


def mixed(parts: Sequence[tuple[int, Stats]]) -> Stats:
    """Distribution of values drawn from several sources, given with how many come from each."""
    total = sum(n for n, _ in parts)
    mean = sum(n * s.mean for n, s in parts) / total
    square = sum(n * (s.std**2 + s.mean**2) for n, s in parts) / total
    return Stats(mean, math.sqrt(max(square - mean * mean, 1e-6)))


def averaged(stats: Stats, count: int) -> Stats:
    """Distribution of the mean of `count` neighbours: they are alike, so that the deviation falls slowly.

    The exponent lies between those measured on these networks with noise for input, 0.06 to 0.4.
    """
    return Stats(stats.mean, stats.std / count**0.2)


def largest(stats: Stats, count: int) -> Stats:
    """Distribution of the largest of `count` neighbours, fitted to these networks' windows of 4 and 9.

    The deviation within a channel shrinks, but channels whose deviations differ move apart.
    """
    return Stats(stats.mean + (0.5 + 0.5 * math.log(count)) * stats.std, 1.5 * stats.std)
