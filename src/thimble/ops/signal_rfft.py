# SPDX-License-Identifier: Apache-2.0
"""SignalRfft: Fourier transform of real frames, padded with zeros to `fft_length`; int16, powers of two.

Even and odd samples are the real and imaginary parts of a transform of half the length, in stages of four and at most
one of two, each of which divides by its radix; a last step takes the two apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from thimble.errors import UnsupportedOperatorError
from thimble.ir import Array, Call, DType
from thimble.kernel import Fields, KernelCall, Site, View
from thimble.ops.lowering import packed
from thimble.ops.signal import Signal, check, require_types

_TYPES = ((DType.INT16,), (DType.INT16,))
_MOST = 32767
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class SignalRfft(Signal):
    def lower(self, site: Site) -> tuple[KernelCall, ...]:
        """Kernel: `signal_rfft.h`, one call per frame."""
        require_types(site, *_TYPES)
        x, output, length = site.tensor(0), site.outputs[0], self._length()
        given, frames = x.shape[-1], x.elements // x.shape[-1]
        fields = (("given", min(given, length)), ("half", length // 2), *_stages(length // 2))
        constants = (
            packed("twiddles", DType.INT16, twiddles(length // 2)),
            packed("last twiddles", DType.INT16, last_twiddles(length // 2)),
        )
        size = length + 2
        views = (
            ((View(x, 2 * given * i, (given,), (2,)),), (View(output, 2 * size * i, (size,), (2,)),))
            for i in range(frames)
        )
        name = "signal_rfft"
        return tuple(
            KernelCall(name, f"{name}.h", reads, writes, constants, name, fields, scratch=2 * length)
            for reads, writes in views
        )

    def reference(self, call: Call) -> tuple[Array, ...]:
        """Complex numbers as pairs of int16, `fft_length / 2 + 1` per frame.

        Source: TFLM, signal/src/rfft_int16.cc, and kissfft 1.3.0 with FIXED_POINT 16.
        """
        check(self.code, call, *_TYPES)
        length, x = self._length(), call.value(0)
        frames = x.reshape(-1, x.shape[-1])[:, :length]
        padded = np.pad(frames, ((0, 0), (0, length - frames.shape[1])))
        spectra = [real_transform(frame) for frame in padded]
        return (np.stack(spectra).reshape(call.outputs[0].shape),)

    def _length(self) -> int:
        length = self.option("fft_length")
        if length < _SHORTEST or length & (length - 1):
            raise UnsupportedOperatorError(f"{self.code}: a length of {length}; powers of two from 4 are supported")
        return length


def radices(count: int) -> tuple[int, ...]:
    """Radix of every stage of a transform of `count` points, the last to be run first."""
    fours = (count.bit_length() - 1) // 2
    return (4,) * fours + ((2,) if count != 4**fours else ())


def _stages(count: int) -> Fields:
    found = radices(count)
    return ("fours", found.count(4)), ("two", found.count(2))


def _unit(phase: float) -> tuple[int, int]:
    return math.floor(0.5 + _MOST * math.cos(phase)), math.floor(0.5 + _MOST * math.sin(phase))


def twiddles(count: int) -> Array:
    """exp(-2 pi i k / count) in Q15, [count, 2]."""
    return np.array([_unit(-2 * math.pi * k / count) for k in range(count)], np.int16)


def last_twiddles(count: int) -> Array:
    """Those of the last step, [count / 2, 2]."""
    return np.array([_unit(-math.pi * ((k + 1) / count + 0.5)) for k in range(count // 2)], np.int16)


def _product(a: Array, b: Array) -> Array:
    """Complex product in Q15, rounded, of pairs [..., 2] of int64."""
    real = a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1]
    imaginary = a[..., 0] * b[..., 1] + a[..., 1] * b[..., 0]
    return _short((np.stack([real, imaginary], axis=-1) + (1 << 14)) >> 15)


def _divided(a: Array, by: int) -> Array:
    return _short((a * (_MOST // by) + (1 << 14)) >> 15)


def _short(a: Array) -> Array:
    """What int16 keeps."""
    kept: Array = a.astype(np.int16).astype(np.int64)
    return kept


def transform(points: Array) -> Array:
    """The transform of complex points [count, 2], divided by their number."""
    count = len(points)
    turns, stages = twiddles(count).astype(np.int64), radices(count)
    order = np.arange(count).reshape(stages[::-1]).transpose().reshape(-1)
    x: Array = points.astype(np.int64)[order]
    size = 1
    for radix in reversed(stages):
        step = count // (size * radix)
        x = x.reshape(step, radix, size, 2)
        angle = np.arange(radix)[:, None] * np.arange(size)[None, :] * step
        parts = _product(_divided(x, radix), turns[angle])
        parts[:, 0] = _divided(x[:, 0], radix)
        x = np.concatenate(_butterfly(parts), axis=1).reshape(count, 2) if radix == 4 else _pair(parts, count)
        size *= radix
    return x


def _pair(parts: Array, count: int) -> Array:
    first, second = parts[:, 0], parts[:, 1]
    return np.stack([_short(first + second), _short(first - second)], axis=1).reshape(count, 2)


def _butterfly(parts: Array) -> list[Array]:
    """Four sums of [groups, 4, size, 2], each [groups, 1, size, 2]."""
    a, b, c, d = (parts[:, i : i + 1] for i in range(4))
    outer, inner = _short(a - c), _short(b - d)
    even, odd = _short(a + c), _short(b + d)
    turned = np.stack([inner[..., 1], -inner[..., 0]], axis=-1)
    return [_short(even + odd), _short(outer + turned), _short(even - odd), _short(outer - turned)]


def real_transform(frame: Array) -> Array:
    """The transform of real samples [length]: [length / 2 + 1, 2]."""
    half = len(frame) // 2
    x = transform(frame.reshape(half, 2))
    result = np.zeros((half + 1, 2), np.int64)
    ends = _divided(x[0], 2)
    result[0, 0], result[half, 0] = ends[0] + ends[1], ends[0] - ends[1]
    places = np.arange(1, half // 2 + 1)
    near = _divided(x[places], 2)
    far = _divided(_short(x[half - places] * np.array([1, -1])), 2)
    total, difference = _short(near + far), _short(near - far)
    turned = _product(difference, last_twiddles(half).astype(np.int64)[places - 1])
    result[places] = (total + turned) >> 1
    result[half - places, 0] = (total[:, 0] - turned[:, 0]) >> 1
    result[half - places, 1] = (turned[:, 1] - total[:, 1]) >> 1
    short: Array = result.astype(np.int16)
    return short
