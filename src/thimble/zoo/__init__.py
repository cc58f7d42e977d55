# SPDX-License-Identifier: Apache-2.0
"""Canonical architectures as int8 models with seeded weights, for tests, benchmarks and examples.

    from thimble import zoo

    model = zoo.build("mobilenet_v2", width=0.35, resolution=96)

The same name and options give the same model, to the byte, everywhere. Weights are random: the models have the
memory needs, the operators and the numerics of trained ones, and react to their input, but recognize nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from thimble.errors import OptionError
from thimble.ir import DType, Kind, Model
from thimble.zoo.densenet import densenet_121
from thimble.zoo.east import east
from thimble.zoo.inception import inception_v1
from thimble.zoo.keywords import ds_cnn, ds_cnn_digits
from thimble.zoo.mnasnet import mnasnet_a1, mnasnet_b1
from thimble.zoo.mobilenet import mobilenet_v1, mobilenet_v2
from thimble.zoo.nasnet import nasnet_mobile
from thimble.zoo.resnet import resnet_8, resnet_50
from thimble.zoo.segmentation import deeplab_v3, posenet
from thimble.zoo.sequences import lstm, tcn
from thimble.zoo.squeezenet import squeezenet

__all__ = ["build", "names", "options", "parameters"]

_ARCHITECTURES: dict[str, Callable[..., Model]] = {
    f.__name__: f
    for f in (
        deeplab_v3, densenet_121, ds_cnn, ds_cnn_digits, east, inception_v1, lstm, mnasnet_a1, mnasnet_b1,
        mobilenet_v1, mobilenet_v2, nasnet_mobile, posenet, resnet_8, resnet_50, squeezenet, tcn,
    )
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Names of the architectures, sorted."""
    return tuple(sorted(_ARCHITECTURES))


def options(name: str) -> dict[str, Any]:
    """Options of an architecture and their defaults, which are the published network's.

    Raises:
        OptionError: there is no such architecture.
    """
    if name not in _ARCHITECTURES:
        raise OptionError(f"there is no architecture '{name}' in the zoo; there are {', '.join(names())}")
    return {p.name: p.default for p in inspect.signature(_ARCHITECTURES[name]).parameters.values()}


def build(name: str, **choices: Any) -> Model:
    """Build an architecture; `choices` are among `options(name)`, such as width, resolution, classes and seed.

    Raises:
        OptionError: there is no such architecture, it has no such option, or the value makes no sense.
        ModelError: values with which the network's layers do not go together.
    """
    known = options(name)
    for option, value in choices.items():
        if option not in known:
            raise OptionError(f"{name} has no option '{option}'; it has {', '.join(known)}")
        if not _sensible(value, known[option], least=0 if option == "seed" else 1):
            raise OptionError(f"{name}: {option}={value!r} makes no sense; the default is {known[option]!r}")
    return _ARCHITECTURES[name](**choices)


def _sensible(value: object, default: object, least: int) -> bool:
    """Whether a value may stand in for the default: whole numbers from `least`, positive reals, tuples of wholes."""
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(_sensible(v, 1, least) for v in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(default, float):
        return 0 < value < float("inf")
    return isinstance(value, int) and value >= least


def parameters(model: Model) -> int:
    """Weights and biases of a model: elements of its quantized constants."""
    return sum(t.elements for t in model.main.tensors if t.kind is Kind.CONSTANT and _learned(t.dtype, t.quant))


def _learned(dtype: DType, quant: object) -> bool:
    """Shapes, axes and paddings are integers without a scale."""
    return quant is not None and dtype in (DType.INT8, DType.INT32)
