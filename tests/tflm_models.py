# SPDX-License-Identifier: Apache-2.0
"""Small models for the tests of TFLM's memory: one kernel each, with what TFLM itself uses for them.

The figures were measured, not computed: TFLM 90b983c with CMSIS-NN 4ab83cc, GCC 12 -O2, on an emulated
Cortex-M4 (mps2-an386) and Cortex-M55 (mps3-an547).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from flatbuffers import flexbuffers

from thimble.ir import (
    Attrs,
    DType,
    Graph,
    Kind,
    Model,
    Op,
    OpId,
    Padding,
    Quant,
    Shape,
    Source,
    Tensor,
    TensorId,
)
from thimble.ops import OPERATORS, customs

F32, I4, I8, I16, I32, I64 = DType.FLOAT32, DType.INT4, DType.INT8, DType.INT16, DType.INT32, DType.INT64
BOOL, RESOURCE = DType.BOOL, DType.RESOURCE


def tensor(shape: Shape, dtype: DType = F32, kind: Kind = Kind.ACTIVATION, *, scales: int = 1, axis: int = 0) -> Tensor:
    """A tensor with a scale of a half; int64, bool and resource have none."""
    quant = Quant((0.5,) * scales, (0,) * scales, axis) if dtype in (I4, I8, I16, I32) else None
    size = (math.prod(shape) * dtype.bits + 7) // 8
    data = b"\1" * size if kind is Kind.CONSTANT else None
    return Tensor(TensorId(0), "", shape, dtype, quant, kind, data)


def const(shape: Shape, dtype: DType = F32, *, scales: int = 1, axis: int = 0) -> Tensor:
    return tensor(shape, dtype, Kind.CONSTANT, scales=scales, axis=axis)


def ints(*values: int, shape: Shape | None = None) -> Tensor:
    """A constant of int32 without quantization."""
    data = struct.pack(f"<{len(values)}i", *values)
    return Tensor(TensorId(0), "", (len(values),) if shape is None else shape, I32, None, Kind.CONSTANT, data)


def bias(channels: int, dtype: DType) -> Tensor:
    wide = {F32: F32, I8: I32, I16: I64}[dtype]
    quant = Quant((0.25,), (0,)) if wide is I32 else None
    return Tensor(TensorId(0), "", (channels,), wide, quant, Kind.CONSTANT, b"\1" * (channels * wide.bits // 8))


@dataclass(frozen=True)
class Step:
    """An operator by the numbers of its tensors."""

    attrs: Attrs
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]


def step(kind: str, inputs: tuple[int | None, ...], outputs: tuple[int, ...], **attrs: object) -> Step:
    return Step(OPERATORS[kind](**attrs), inputs, outputs)


def graph(tensors: list[Tensor], steps: list[Step], inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Graph:
    """A graph; tensors get their ids, names and, as inputs, their kind."""
    named = tuple(
        Tensor(
            TensorId(i), f"t{i}", t.shape, t.dtype, t.quant, Kind.INPUT if i in inputs else t.kind, t.data, None, i + 1
        )
        for i, t in enumerate(tensors)
    )
    ops = tuple(
        Op(OpId(i), f"op{i}", s.attrs, _ids(s.inputs), _ids(s.outputs), Source("m", "g", i))
        for i, s in enumerate(steps)
    )
    return Graph("g", named, ops, _ids(inputs), _ids(outputs))


def _ids(values: tuple[int | None, ...]) -> tuple:  # type: ignore[type-arg]
    return tuple(None if v is None else TensorId(v) for v in values)


def model(*graphs: Graph, metadata: tuple[tuple[str, bytes], ...] = ()) -> Model:
    return Model("m", "m.tflite", "tflite", 0, graphs, metadata=metadata)


def single(attrs: Attrs, inputs: list[Tensor | None], outputs: list[Tensor]) -> Model:
    """A model of one operator; what is neither constant nor variable is a model input."""
    present = [t for t in inputs if t is not None]
    numbers = iter(range(len(present)))
    operands = tuple(None if t is None else next(numbers) for t in inputs)
    results = tuple(range(len(present), len(present) + len(outputs)))
    free = tuple(i for i, t in enumerate(present) if t.kind is Kind.ACTIVATION)
    return model(graph(present + outputs, [Step(attrs, operands, results)], free, results))


def conv(
    data: Shape,
    filters: Shape,
    out: Shape,
    dtype: DType = I8,
    weights: DType = I8,
    *,
    stride: int = 1,
    valid: bool = False,
) -> Model:
    attrs = OPERATORS["CONV_2D"](padding=Padding.VALID if valid else Padding.SAME, stride_w=stride, stride_h=stride)
    kernel = const(filters, weights, scales=filters[0])
    return single(attrs, [tensor(data, dtype), kernel, bias(filters[0], dtype)], [tensor(out, dtype)])


def depthwise(data: Shape, taps: tuple[int, int], multiplier: int = 1, weights: DType = I8) -> Model:
    channels = data[3] * multiplier
    attrs = OPERATORS["DEPTHWISE_CONV_2D"](stride_w=1, stride_h=1, depth_multiplier=multiplier)
    kernel = const((1, *taps, channels), weights, scales=channels, axis=3)
    return single(attrs, [tensor(data, I8), kernel, bias(channels, I8)], [tensor((*data[:3], channels), I8)])


def dense(rows: Shape, *, scales: int = 1, fixed_bias: bool = True) -> Model:
    attrs = OPERATORS["FULLY_CONNECTED"](keep_num_dims=len(rows) > 1)
    last = bias(10, I8) if fixed_bias else Tensor(TensorId(0), "", (10,), I32, Quant((0.25,), (0,)))
    inputs: list[Tensor | None] = [tensor((*rows, 16), I8), const((10, 16), I8, scales=scales), last]
    return single(attrs, inputs, [tensor((*rows, 10), I8)])


def transposed_conv(depth: int, dtype: DType = I8) -> Model:
    attrs = OPERATORS["TRANSPOSE_CONV"](padding=Padding.SAME, stride_w=2, stride_h=2)
    kernel = const((5, 3, 3, depth), I8, scales=5)
    inputs: list[Tensor | None] = [ints(1, 10, 10, 5), kernel, tensor((1, 5, 5, depth), dtype), bias(5, dtype)]
    return single(attrs, inputs, [tensor((1, 10, 10, 5), dtype)])


def lstm(dtype: DType) -> Model:
    """Two sequences of five steps, three values in, a state of four."""
    weights, cell = (F32, F32) if dtype is F32 else (I8, I16)
    scale = 1 / 128

    def scaled(base: Tensor, value: float) -> Tensor:
        quant = None if base.quant is None else Quant((value,), (0,))
        return Tensor(base.id, base.name, base.shape, base.dtype, quant, base.kind, base.data)

    inputs: list[Tensor | None] = [scaled(tensor((2, 5, 3), dtype), scale)]
    inputs += [scaled(const((4, 3), weights), scale)] * 4 + [scaled(const((4, 4), weights), scale)] * 4 + [None] * 3
    inputs += [scaled(bias(4, dtype), scale * scale)] * 4 + [None] * 2
    inputs += [scaled(tensor((2, 4), dtype, Kind.VARIABLE), scale), scaled(tensor((2, 4), cell, Kind.VARIABLE), 2**-11)]
    attrs = OPERATORS["UNIDIRECTIONAL_SEQUENCE_LSTM"](fused_activation_function=_tanh())
    return single(attrs, inputs + [None] * 4, [scaled(tensor((2, 5, 4), dtype), scale)])


def _tanh() -> object:
    from thimble.ir import Activation

    return Activation.TANH


def svdf(rank: int = 2, state: DType = I16) -> Model:
    units = 8 // rank
    inputs: list[Tensor | None] = [tensor((1, 6), I8), const((8, 6), I8), const((8, 5), state), bias(units, I8)]
    memory = tensor((1, 40), state, Kind.VARIABLE)
    return single(OPERATORS["SVDF"](rank=rank), [*inputs, memory], [tensor((1, units), I8)])


def custom(code: str, inputs: list[Tensor | None], outputs: list[Tensor], **options: object) -> Model:
    return single(customs.custom(code, bytes(flexbuffers.Dumps(options))), inputs, outputs)


def branches() -> Model:
    """IF between two graphs of their own scratch buffers, after an operator with one."""
    square = (4, 4)
    main = graph(
        [tensor((), BOOL), tensor(square), tensor(square), tensor(square)],
        [step("ADD_N", (1, 1), (2,)), step("IF", (0, 2), (3,), then_subgraph_index=1, else_subgraph_index=2)],
        (0, 1),
        (3,),
    )
    inner = [tensor(square) for _ in range(3)]
    first = graph(inner, [step("ADD_N", (0, 0), (1,)), step("ADD", (1, 0), (2,))], (0,), (2,))
    second = graph(inner, [step("MUL", (0, 0), (1,)), step("ADD_N", (1, 0), (2,))], (0,), (2,))
    return model(main, first, second)


def variable() -> Model:
    """A resource variable, initialized by a second graph."""
    main = graph(
        [tensor((), RESOURCE), tensor((5,)), tensor((5,)), tensor((5,))],
        [
            step("CALL_ONCE", (), (), init_subgraph_index=1),
            step("VAR_HANDLE", (), (0,), shared_name="a"),
            step("READ_VARIABLE", (0,), (2,)),
            step("ADD", (1, 2), (3,)),
            step("ASSIGN_VARIABLE", (0, 3), ()),
        ],
        (1,),
        (3,),
    )
    init = [step("VAR_HANDLE", (), (0,), shared_name="a"), step("ASSIGN_VARIABLE", (0, 1), ())]
    return model(main, graph([tensor((), RESOURCE), const((5,))], init, (), ()))


def offline(*offsets: int) -> Model:
    """Three operators and a tensor that none touches, under an offline plan."""
    shape = (4, 4)
    tensors = [tensor(shape), tensor(shape), tensor(shape), tensor((7, 3)), tensor(shape)]
    steps = [step("ADD", (0, 0), (1,)), step("ADD", (1, 0), (2,)), step("MUL", (2, 1), (4,))]
    words = struct.pack(f"<{3 + len(offsets)}i", 1, 0, len(offsets), *offsets)
    return model(graph(tensors, steps, (0,), (4,)), metadata=(("OfflineMemoryAllocation", words),))


def chain(*sizes: int) -> Graph:
    """int8 RELUs in a row over tensors of these sizes (the shapes need not agree: nothing checks them here)."""
    steps = [step("RELU", (i,), (i + 1,)) for i in range(len(sizes) - 1)]
    return graph([tensor((1, s), I8) for s in sizes], steps, (0,), (len(sizes) - 1,))


# name: (model, (M4 head, M4 arena_used_bytes), (M55 head, M55 arena_used_bytes))
Figures = tuple[int, int]
MEASURED: dict[str, tuple[Model, Figures, Figures]] = {
    # One row: MVE needs the borders only; the DSP flavour unfolds two columns of int16.
    "conv of one row": (conv((1, 1, 17, 8), (6, 1, 5, 8), (1, 1, 17, 6)), (416, 916), (320, 820)),
    # 27 or 36 columns are padded to 8 lanes of int16 for MVE, not at all otherwise.
    "conv int16": (conv((1, 8, 8, 4), (8, 3, 3, 4), (1, 8, 8, 8), I16), (1680, 2180), (1856, 2356)),
    "conv int4": (conv((1, 8, 8, 4), (8, 3, 3, 4), (1, 8, 8, 8), I8, I4), (912, 1412), (960, 1460)),
    # One channel in, eight out: MVE runs it as a convolution and needs the transposed weights too.
    "depthwise of one channel": (depthwise((1, 8, 8, 1), (3, 3), 8), (576, 1076), (720, 1220)),
    # MVE works on blocks of 124 channels whatever their number.
    "depthwise 5x4": (depthwise((1, 8, 8, 4), (5, 4)), (672, 1140), (10432, 10900)),
    "depthwise int4": (depthwise((1, 8, 8, 4), (3, 3), 1, I4), (592, 1060), (4976, 5444)),
    # Rank above 2 runs as a 1x1 convolution: multipliers and shifts in scratch, or persistent per channel.
    "dense of rank 3": (dense((2, 3)), (240, 676), (240, 676)),
    "dense per channel": (dense((2, 3), scales=10), (160, 692), (160, 692)),
    # Constant bias: MVE keeps sums of the weights' rows; otherwise it has them in scratch.
    "dense, bias computed": (dense((1,), fixed_bias=False), (80, 564), (128, 612)),
    # Above 16 channels CMSIS-NN runs a convolution on reversed weights.
    "transposed conv, deep": (transposed_conv(20), (2656, 3172), (2704, 3220)),
    "transposed conv, flat": (transposed_conv(4), (1296, 1812), (1296, 1812)),
    "transposed conv int16": (transposed_conv(4, I16), (5216, 5732), (5216, 5732)),
    "matmul": (
        single(
            OPERATORS["BATCH_MATMUL"](adj_x=True),
            [tensor((2, 4, 3), I8), tensor((2, 4, 5), I8)],
            [tensor((2, 3, 5), I8)],
        ),
        (112, 724),
        (144, 756),
    ),
    # CMSIS-NN: eight kernel sums and three buffers; float falls back to four buffers.
    "lstm int8": (lstm(I8), (128, 1732), (128, 1732)),
    "lstm int16": (lstm(I16), (192, 1924), (192, 1924)),
    "lstm float": (lstm(F32), (416, 1888), (416, 1888)),
    "svdf": (svdf(), (80, 596), (80, 628)),
    "average pool int16": (
        single(
            OPERATORS["AVERAGE_POOL_2D"](stride_w=2, stride_h=2, filter_width=2, filter_height=2),
            [tensor((1, 8, 8, 5), I16)],
            [tensor((1, 4, 4, 5), I16)],
        ),
        (832, 1236),
        (800, 1204),
    ),
    # int16: two persistent lookup tables of 513 entries.
    "softmax int16": (
        single(
            OPERATORS["SOFTMAX"](beta=1.0),
            [tensor((1, 10), I16)],
            [Tensor(TensorId(0), "", (1, 10), I16, Quant((1 / 32768,), (0,)))],
        ),
        (64, 2532),
        (64, 2532),
    ),
    "branches": (branches(), (352, 1088), (352, 1088)),
    "variable": (variable(), (96, 832), (96, 832)),
    "offline": (offline(128, -1, 0, -1, 64), (256, 832), (256, 832)),
    "framer": (
        custom(
            "SignalFramer",
            [Tensor(TensorId(0), "", (2, 30), I16)],
            [Tensor(TensorId(0), "", (2, 2, 20), I16), tensor((), BOOL)],
            frame_size=20,
            frame_step=15,
            prefill=True,
        ),
        (304, 992),
        (304, 992),
    ),
    "rfft": (
        custom(
            "SignalRfft",
            [Tensor(TensorId(0), "", (64,), I16)],
            [Tensor(TensorId(0), "", (66,), I16)],
            T=7,
            fft_length=64,
        ),
        (400, 1328),
        (400, 1328),
    ),
    "circular buffer": (
        custom("CIRCULAR_BUFFER", [tensor((1, 1, 1, 6), I8)], [tensor((1, 4, 1, 6), I8)], cycles_max=3),
        (48, 388),
        (48, 388),
    ),
}
