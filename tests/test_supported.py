# SPDX-License-Identifier: Apache-2.0
"""docs/supported_ops.md says what the code does, and the small models that it is made from are what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from thimble.ir import DType
from thimble.kernel import Flavour
from thimble.ops import OPERATORS
from thimble.ops.customs import CUSTOMS
from thimble.probes import RECIPES, TYPES, model_of
from thimble.supported import CUSTOM_TYPES, STATED, document, found, rows
from thimble.verify import verify_graph

DOCUMENT = Path(__file__).parent.parent / "docs" / "supported_ops.md"


def test_the_document_is_not_stale() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make docs`"


def test_every_operator_is_there_once() -> None:
    named = [row[0] for row in rows()]
    assert named == [*sorted(OPERATORS), *(f"{code} (custom)" for code in sorted(CUSTOMS))]
    assert set(RECIPES) | set(STATED) == set(OPERATORS)
    assert set(CUSTOM_TYPES) == set(CUSTOMS)


@pytest.mark.parametrize("kind", sorted(RECIPES))
def test_recipes_are_sound(kind: str) -> None:
    """Every model is valid, and where nothing is compiled it is for want of a kernel, not of the right operands."""
    for dtype in TYPES:
        model = model_of(kind, dtype)
        assert model is not None
        verify_graph(model.main)
        result = found(kind, dtype)
        assert result is not None
        for wrong in ("is missing", "must be a constant", "is no variable", "dimensions", "extent"):
            assert wrong not in result.reason


CORE = (
    "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED AVERAGE_POOL_2D MAX_POOL_2D ADD MUL SUB SOFTMAX LOGISTIC TANH RELU "
    "RELU6 CONCATENATION SPLIT PAD RESHAPE TRANSPOSE STRIDED_SLICE MEAN TRANSPOSE_CONV GATHER "
    "UNIDIRECTIONAL_SEQUENCE_LSTM BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND DEQUANTIZE"
)


@pytest.mark.parametrize("kind", CORE.split())
def test_the_core_set_is_complete(kind: str) -> None:
    for dtype in (DType.FLOAT32, DType.INT8, DType.INT16):
        result = found(kind, dtype)
        assert result is not None
        assert not result.reason or (kind, dtype) == ("DEQUANTIZE", DType.FLOAT32)


def test_flavours_are_told_apart() -> None:
    names = {flavour: found("CONV_2D", DType.INT8, flavour) for flavour in Flavour}
    kernels = {flavour.value: result.calls[0].kernel for flavour, result in names.items() if result is not None}
    assert kernels == {
        "portable": "conv_2d_s8",
        "dsp": "conv_2d_s8_strip_dsp",
        "mve": "conv_2d_s8_mve",
        "cmsis-nn": "cmsis_nn_conv_2d",
        "cmsis-nn-mve": "cmsis_nn_conv_2d",
    }
