# SPDX-License-Identifier: Apache-2.0
"""EAST: text detection by merging the features of all stages."""

from __future__ import annotations

from thimble.ir import Activation, Model
from thimble.zoo.builder import Builder
from thimble.zoo.resnet import resnet_50_features
from thimble.zoo.values import Value

_RELU = Activation.RELU


def _merged(b: Builder, coarse: Value, fine: Value, channels: int) -> Value:
    """The coarse features at twice the size beside the fine ones, then 1x1 and 3x3 convolutions."""
    x = b.concat([b.resize(coarse, *fine.shape[1:3]), fine])
    return b.conv(b.conv(x, channels, activation=_RELU), channels, 3, activation=_RELU)


def east(*, resolution: int = 320, seed: int = 13) -> Model:
    """EAST on ResNet-50: a score `[1,H/4,W/4,1]` and a rotated box `[1,H/4,W/4,5]`, all between 0 and 1.

    The box's constant factors (the reference multiplies distances by 512 and maps the angle to a quarter turn either
    way) belong to what reads the outputs.

    Published: 23.5 M parameters of ResNet-50 before its classifier; merging and heads add 0.6 M.

    Source: Zhou et al., "EAST: An Efficient and Accurate Scene Text Detector", arXiv 1704.03155, figure 3.
    """
    b = Builder("east", seed)
    image = b.input((1, resolution, resolution, 3))
    second, third, fourth, x = resnet_50_features(b, image)
    for fine, channels in ((fourth, 128), (third, 64), (second, 32)):
        x = _merged(b, x, fine, channels)
    x = b.conv(x, 32, 3, activation=_RELU)
    score = b.logistic(b.conv(x, 1))
    box = b.concat([b.logistic(b.conv(x, 4)), b.logistic(b.conv(x, 1))])
    return b.model([image], [score, box])
