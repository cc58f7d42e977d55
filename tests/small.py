# SPDX-License-Identifier: Apache-2.0
"""A network for tests that plan all rungs."""

from __future__ import annotations

from thimble.ir import Model
from thimble.zoo.builder import Builder


def small_network() -> Model:
    """Two depthwise-separable convolutions and a classifier. The arena falls on rungs 4 and 5."""
    build = Builder("small", 7)
    start = x = build.input((1, 12, 8, 4))
    for _ in range(2):
        x = build.conv(build.depthwise(x, 3), 8, 1)
    return build.model([start], [build.classify(build.reshape(build.global_pool(x), (1, 8)), 4)])
