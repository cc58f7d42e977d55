# SPDX-License-Identifier: Apache-2.0
"""Layers of many shapes for `calibrate_kernels.py`, side by side in networks that only serve to be counted.

Shapes vary in what kernels depend on: whether channels fill vectors, whether windows leave the image, strides, filter
sizes, ranges of results. None is taken from a particular model. Layers stay below about a million multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from thimble.errors import ThimbleError
from thimble.ir import Activation, DType, Graph, Model, Op, OpId, Padding, Quant, Shape, Tensor, TensorId
from thimble.kernel import Flavour
from thimble.lower import lowered
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.probes import RECIPES, TYPES, Recipe, model_of
from thimble.rewrites import compilable
from thimble.streaming import Segment
from thimble.zoo.builder import Builder, Size, pair
from thimble.zoo.values import Value

NONE, RELU = Activation.NONE, Activation.RELU
SAME, VALID = Padding.SAME, Padding.VALID
OFFSET = Quant((0.02,), (-3,))
COARSE = Quant((20.0,), (0,))
FINE = Quant((1e-5,), (0,))
RANGES: tuple[tuple[Activation, Quant | None], ...] = (
    (RELU, None),
    (NONE, None),
    (RELU, OFFSET),
    (NONE, COARSE),
    (NONE, FINE),
)
"""Results that are never negative, that are, that are clamped besides; multipliers too small for packed sums, and
multipliers above a half."""
PER_NETWORK = 300


class Grid(Builder):
    """A network of single layers, with one input per shape."""

    def __init__(self, seed: int) -> None:
        super().__init__("calibration", seed)
        self.inputs: dict[Shape, Value] = {}

    def of(self, *shape: int) -> Value:
        """The input of that shape; every other one is never negative, so that its zero point is -128."""
        if shape not in self.inputs:
            self.inputs[shape] = self.input(shape, -1.0 if len(self.inputs) % 2 else 0.0)
        return self.inputs[shape]

    def by_channel(self, x: Value, kernel: Size, stride: int, padding: Padding, kind: int) -> Value:
        """A depthwise convolution with results of some kind."""
        activation, quant = RANGES[kind]
        attrs = DepthwiseConv2D(
            padding=padding, stride_h=stride, stride_w=stride, depth_multiplier=1, fused_activation_function=activation
        )
        weights = self.stream.weights((1, *pair(kernel), x.channels))
        return self._linear(attrs, x, weights, 3, activation=activation, quant=quant)

    def filtered(
        self, x: Value, count: int, kernel: Size, stride: int, padding: Padding, dilation: int, kind: int
    ) -> Value:
        activation, quant = RANGES[kind]
        window = {"activation": activation, "padding": padding, "dilation": dilation, "quant": quant}
        return self.conv(x, count, kernel, stride, **window)  # type: ignore[arg-type]


def convolutions(b: Grid) -> Iterator[Value]:
    """1 x 1 (height, width, channels, filters) and larger (.., kernel, stride, padding, dilation)."""
    pointwise = [
        (9, 8, 16), (6, 16, 16), (5, 24, 8), (12, 16, 40), (5, 64, 64), (3, 128, 128), (7, 32, 64), (4, 96, 24),
        (3, 256, 64), (10, 10, 20), (6, 13, 17), (1, 64, 40), (2, 200, 30), (12, 3, 8), (11, 40, 5), (25, 4, 12),
        (8, 48, 96), (2, 320, 33), (6, 64, 36), (7, 20, 1), (14, 12, 72), (20, 8, 6), (4, 512, 16), (5, 100, 50),
    ]  # fmt: skip
    larger = [
        (16, 3, 16, 3, 2, SAME, 1), (16, 3, 8, 3, 1, SAME, 1), (12, 16, 16, 3, 1, SAME, 1), (8, 32, 32, 3, 1, SAME, 1),
        (8, 64, 32, 3, 2, SAME, 1), (10, 8, 12, 3, 1, VALID, 1), (9, 24, 20, 3, 2, VALID, 1), (14, 4, 8, 5, 1, SAME, 1),
        (12, 1, 64, (10, 4), 2, SAME, 1), (14, 1, 16, 3, 1, SAME, 1), (14, 1, 8, 5, 2, VALID, 1),
        (6, 64, 64, 3, 1, SAME, 1), (9, 16, 32, 1, 2, SAME, 1), (8, 32, 64, 1, 2, SAME, 1), (10, 10, 10, 3, 1, SAME, 1),
        (10, 7, 9, 3, 1, SAME, 1), (12, 8, 8, 3, 1, SAME, 2), (20, 3, 8, 7, 2, SAME, 1), (4, 128, 16, 3, 1, SAME, 1),
        (5, 48, 48, 3, 1, VALID, 1), (12, 16, 8, (1, 5), 1, SAME, 1), (12, 16, 8, (5, 1), 1, VALID, 1),
        (6, 20, 30, (3, 1), 1, SAME, 1), (24, 3, 32, 3, 2, SAME, 1), (30, 3, 6, 5, 3, VALID, 1),
        (7, 40, 24, 2, 2, VALID, 1), (16, 16, 4, 3, 1, SAME, 1), (24, 3, 16, 3, 2, VALID, 1),
        (30, 3, 32, 3, 2, SAME, 1),
        (20, 1, 8, 3, 2, SAME, 1), (25, 3, 10, 3, 1, VALID, 1), (48, 1, 8, 3, 2, SAME, 1), (40, 3, 8, 3, 2, SAME, 1),
        (32, 3, 16, 3, 1, SAME, 1), (30, 1, 4, 5, 1, SAME, 1), (30, 2, 8, 3, 1, SAME, 1), (24, 16, 16, 3, 1, SAME, 1),
    ]  # fmt: skip
    shapes = [(*shape, 1, 1, SAME, 1) for shape in pointwise] + larger
    for n, (size, before, *rest) in enumerate(shapes):
        for kind in (n % 4, (n + 1 + n // 4 % 3) % 4, *[4] * (n % 4 == 0)):
            yield b.filtered(b.of(1, size, size, before), *rest, kind)  # type: ignore[arg-type, call-arg]


def depthwise(b: Grid) -> Iterator[Value]:
    shapes: list[tuple[int, int, Size, int, Padding]] = [
        (8, 8, 3, 1, SAME), (8, 16, 3, 1, SAME), (12, 24, 3, 1, SAME), (6, 64, 3, 1, SAME), (3, 128, 3, 1, SAME),
        (16, 8, 3, 2, SAME), (9, 32, 3, 2, SAME), (12, 48, 3, 2, SAME), (6, 96, 3, 2, SAME), (25, 10, 3, 1, SAME),
        (5, 64, 3, 1, VALID), (11, 20, 3, 2, VALID), (8, 16, 5, 1, SAME), (12, 24, 5, 2, SAME), (7, 40, 5, 1, VALID),
        (10, 13, 3, 1, SAME), (8, 64, (3, 1), 1, SAME), (10, 32, (1, 3), 1, SAME), (8, 24, 7, 1, SAME),
        (24, 4, 3, 1, SAME), (3, 64, 3, 1, VALID), (4, 40, 4, 1, VALID), (13, 16, 3, 1, VALID), (14, 2, 3, 1, SAME),
        (20, 32, 3, 1, SAME), (2, 256, 3, 1, SAME), (4, 200, 3, 2, SAME), (20, 16, (9, 1), 1, VALID),
        (14, 40, 5, 1, SAME), (9, 48, 5, 2, SAME), (10, 48, 7, 1, SAME), (11, 36, 7, 2, SAME), (16, 24, 3, 2, VALID),
    ]  # fmt: skip
    for n, (size, channels, kernel, stride, padding) in enumerate(shapes):
        for kind in (n % 3, (n + 1) % 3, *[4] * (n % 4 == 0)):
            yield b.by_channel(b.of(1, size, size, channels), kernel, stride, padding, kind)


def dense(b: Grid) -> Iterator[Value]:
    for depth, units in [
        (16, 8), (64, 10), (128, 128), (640, 64), (8, 128), (256, 2), (100, 12), (33, 7), (1000, 5), (49, 30), (12, 12),
        (400, 3), (512, 40), (64, 1),
    ]:  # fmt: skip
        for activation, quant in RANGES:
            yield b.dense(b.of(1, depth), units, activation=activation, quant=quant)


def pools(b: Grid) -> Iterator[Value]:
    shapes: list[tuple[int, int, Size, Size, Padding]] = [
        (8, 16, 2, 2, VALID), (12, 32, 2, 2, VALID), (9, 24, 3, 2, SAME), (6, 64, 3, 1, SAME), (7, 10, 3, 2, SAME),
        (16, 6, 2, 2, VALID), (6, 128, 6, 6, VALID), (3, 256, 3, 3, VALID), (8, 40, 4, 4, VALID),
        (12, 8, (1, 2), (1, 2), VALID),
        (10, 32, 3, 2, VALID), (12, 20, 3, 1, SAME), (11, 16, 3, 2, SAME), (7, 40, 2, 2, SAME), (9, 12, 2, 1, SAME),
        (7, 64, 7, 7, VALID), (5, 100, 5, 5, VALID), (9, 36, 2, 1, VALID), (12, 16, 4, 2, SAME), (10, 24, 5, 1, SAME),
    ]  # fmt: skip
    for size, channels, kernel, stride, padding in shapes:
        x = b.of(1, size, size, channels)
        yield b.max_pool(x, kernel, stride, padding)
        yield b.average_pool(x, kernel, stride, padding)


def movements(b: Grid) -> Iterator[Value]:
    """Joining, padding, cutting, resizing."""
    for size, channels in ((4, 8), (8, 16), (5, 33), (12, 40), (3, 100), (16, 4), (7, 24), (6, 64), (9, 6), (3, 128)):
        x, half = b.of(1, size, size, channels), b.of(1, size, size, channels // 2)
        yield b.concat([x, x])
        yield b.concat([x, half])
        yield b.concat([x, x], 1)
        yield b.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        yield b.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        yield b.pad(x, ((0, 0), (0, 1), (0, 2), (0, 3)))
        yield b.reshape(x, (1, size * size * channels))
        yield b.crop(x, (0, 1, 1, 0), x.shape)
        yield b.crop(x, (0, 0, 0, 1), x.shape)
        yield b.crop(x, (0, 0, 0, 0), half.shape)
        yield b.resize(x, 2 * size, 2 * size)
    for width in (3, 4, 12, 16, 32, 48, 64, 65, 80, 130, 200):
        yield b.crop(b.of(1, 9, 3, width), (0, 0, 1, 0), (1, 9, 3, width))


def arithmetic(b: Grid) -> Iterator[Value]:
    for size, channels in ((4, 8), (8, 16), (5, 33), (12, 40), (3, 100), (16, 4), (20, 12)):
        x = b.of(1, size, size, channels)
        moved = b.requantize(x, OFFSET)
        for activation in (NONE, RELU):
            yield b.add(x, moved, activation)
            yield b.batch_norm(x, activation)
        yield b.mul(x, moved)
        yield b.mul(x, x)
        yield b.relu(x)
        yield b.logistic(x)
        yield b.mean(x)
    for length in (2, 3, 4, 10, 12, 35, 100, 1000):
        yield b.softmax(b.of(1, length))


GROUPS = (convolutions, depthwise, dense, pools, movements, arithmetic)


def networks() -> Iterator[Model]:
    """All layers, some dozens or hundreds to a network."""
    for seed, group in enumerate(GROUPS):
        b = Grid(seed)
        results = list(group(b))
        yield b.model(list(b.inputs.values()), results)
    yield from _rest()


IMAGE, TWICE = "x1x4x4x8", "i8,8"
"""In recipes of `thimble.probes`: an image, and twice its size."""
SIZES = ((IMAGE, TWICE), ("x1x6x5x8", "i12,10"), ("x1x9x10x16", "i18,20"), ("x1x14x16x8", "i28,32"))
"""What stands there instead."""
RECURRENT = "UNIDIRECTIONAL_SEQUENCE_LSTM"
MORE = {
    "BATCH_MATMUL": ("x1x8x16 x1x16x8", "x2x10x20 x2x20x6", "x1x16x40 x1x40x24"),
    "CAST": ("x8x20", "x30x10", "x3x5"),
    "CONV_2D": (
        "x1x4x4x8 w12x1x1x8 b12", "x1x8x6x16 w12x3x3x16 b12", "x1x10x10x4 w7x3x3x4 b7", "x1x6x6x32 w32x1x1x32 b32",
        "x1x1x40x12 w16x1x5x12 b16",
    ),
    "CUMSUM": ("x8x20 i1", "x30x10 i1", "x3x5 i1"),
    "DEPTHWISE_CONV_2D": ("x1x8x6x16 w1x3x3x16 b16", "x1x10x10x5 w1x3x3x5 b5", "x1x6x6x32 w1x5x5x32 b32"),
    "FULLY_CONNECTED": ("x1x40 w20x40 b20", "x4x24 w10x24 b10", "x1x100 w5x100 b5", "x1x64 w64x64 b64"),
    "SOFTMAX": ("x1x5", "x3x20", "x1x200"),
    "TRANSPOSE_CONV": (
        "i1,8,8,4 w4x3x3x16 x1x4x4x16 b4", "i1,12,10,8 w8x2x2x8 x1x6x5x8 b8", "i1,18,20,6 w6x4x4x8 x1x9x10x8 b6",
    ),
}  # fmt: skip
"""Further recipes."""


def recipes(kind: str) -> Iterator[Recipe]:
    """An operator's recipe in several sizes."""
    recipe = RECIPES[kind]
    if kind == RECURRENT:
        for steps, depth, units in ((3, 4, 6), (1, 40, 20), (5, 20, 20), (2, 64, 32), (1, 128, 64), (8, 10, 40)):
            text = recipe.operands.replace("x1x3x4", f"x1x{steps}x{depth}").replace("w6x4", f"w{units}x{depth}")
            text = text.replace("w6x6", f"w{units}x{units}").replace("b6", f"b{units}")
            yield replace(recipe, operands=text.replace("v1x6", f"v1x{units}").replace("m1x6", f"m1x{units}"))
    elif kind == "SVDF":
        for depth, filters, steps, rank in (
            (8, 4, 3, 1), (40, 32, 8, 1), (24, 16, 10, 2), (96, 16, 8, 1), (16, 64, 5, 1), (10, 128, 12, 2)
        ):  # fmt: skip
            shapes = f"x1x{depth} w{filters}x{depth} t{filters}x{steps} b{filters // rank} s1x{filters * steps}"
            yield replace(recipe, operands=shapes, attrs={"rank": rank})
    else:
        sizes = (recipe.operands.replace(IMAGE, image).replace(TWICE, twice) for image, twice in SIZES)
        for operands in dict.fromkeys((*sizes, *MORE.get(kind, ()))):
            yield replace(recipe, operands=operands)


def _rest() -> Iterator[Model]:
    """All other operators and types."""
    parts: list[Graph] = []
    for kind in RECIPES:
        for recipe in recipes(kind):
            parts += [part for part in (_part(kind, dtype, recipe) for dtype in TYPES) if part is not None]
    for first in range(0, len(parts), PER_NETWORK):
        yield together(parts[first : first + PER_NETWORK], f"calibration_{first}")


def _part(kind: str, dtype: DType, recipe: Recipe) -> Graph | None:
    """The recipe's graph, or None if it cannot be compiled."""
    try:
        made = model_of(kind, dtype, recipe)
        graph = compilable(made) if made is not None else None
        if graph is not None:
            lowered(graph, [Segment((op.id,)) for op in graph.ops], Flavour.PORTABLE)
    except ThimbleError:
        return None
    return graph


def together(parts: Sequence[Graph], name: str) -> Model:
    """Graphs side by side in one."""
    tensors: list[Tensor] = []
    ops: list[Op] = []
    inputs: list[TensorId] = []
    outputs: list[TensorId] = []
    for part in parts:

        def moved(ids: Sequence[TensorId], first: int = len(tensors)) -> tuple[TensorId, ...]:
            return tuple(TensorId(first + i) for i in ids)

        for op in part.ops:
            operands = tuple(None if i is None else moved([i])[0] for i in op.inputs)
            ops.append(replace(op, id=OpId(len(ops)), inputs=operands, outputs=moved(op.outputs), intermediates=()))
        inputs += moved(part.inputs)
        outputs += moved(part.outputs)
        tensors += [replace(t, id=moved([t.id])[0]) for t in part.tensors]
    graph = Graph("main", tuple(tensors), tuple(ops), tuple(inputs), tuple(outputs))
    return Model(name, name, "tflite", 0, (graph,))
