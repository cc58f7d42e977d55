# SPDX-License-Identifier: Apache-2.0
"""How far models climb to say which sizes they fit."""

from __future__ import annotations

import pytest

from thimble import zoo
from thimble.fitrate import RUNGS, needs
from thimble.target import target_named


@pytest.mark.parametrize("sizes", [(1 << 30,), (1,), (1, 1 << 30)])
def test_nothing_is_planned_that_settles_nothing(sizes: tuple[int, ...]) -> None:
    """It fits as it is, or its weights alone do not: the rungs of stock TFLM are enough."""
    found = needs(zoo.build("resnet_8"), target_named("npu"), sizes)
    assert len(found.arenas) == len(RUNGS)
    assert set(found.arenas[2:]) == {min(found.arenas)}
    assert [found.fits(RUNGS[-1], size) for size in sizes] == [size > 1 for size in sizes]


def test_it_climbs_until_it_fits() -> None:
    model = zoo.build("ds_cnn")
    everything = needs(model, target_named("npu"))
    assert everything.arenas[5] < everything.arenas[4] < everything.arenas[3]
    found = needs(model, target_named("npu"), [everything.weight_bytes + everything.arenas[4]])
    assert found.arenas[:5] == everything.arenas[:5]
    assert found.arenas[5] == found.arenas[4]
