# SPDX-License-Identifier: Apache-2.0
"""DS-CNN for keyword spotting: MLPerf Tiny's network, and the small one that Thimble ships."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder

_RELU = Activation.RELU


def _network(name: str, channels: int, classes: int, seed: int) -> Model:
    b = Builder(name, seed)
    features = b.input((1, 49, 10, 1), -124.0, 26.0)  # ten cepstral coefficients of 49 frames
    x = b.conv(features, channels, (10, 4), 2, activation=_RELU)
    for _ in range(4):
        x = b.conv(b.depthwise(x, 3, activation=_RELU), channels, activation=_RELU)
    x = b.global_pool(x)
    return b.model([features], [b.classify(b.reshape(x, (1, channels)), classes)])


def ds_cnn(*, channels: int = 64, classes: int = 12, seed: int = 14) -> Model:
    """DS-CNN as in MLPerf Tiny: one convolution and four depthwise-separable ones.

    Published: 2.66 M multiply-adds, 22 k weights; the same operators and shapes as the benchmark's model.

    Source: Banbury et al., "MLPerf Tiny Benchmark", arXiv 2106.07597; Zhang et al., "Hello Edge: Keyword Spotting
    on Microcontrollers", arXiv 1711.07128.
    """
    return _network("ds_cnn", channels, classes, seed)


def ds_cnn_digits(*, channels: int = 48, classes: int = 12, seed: int = 2026) -> Model:
    """The network that Thimble ships for trying it out: DS-CNN with 48 channels; ten digits, silence and unknown.

    Its weights are random: it takes the memory and the time of a keyword spotter, but it recognizes nothing.

    Source: as for `ds_cnn`.
    """
    return _network("kws_ds_cnn", channels, classes, seed)
