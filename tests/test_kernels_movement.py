# SPDX-License-Identifier: Apache-2.0
"""Compiled operators that move elements against their NumPy references: the grid that is proven against TFLM, and more.

Many one-operator models are compiled as one graph, since starting a C compiler takes longer than the rest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import test_reference_movement as grid
from compiled import SANITIZED, assert_same, check_compiled
from test_reference_movement import array, fixed, free, inputs_of, one
from tflm_models import BOOL, F32, I8, I16, I32, I64, Step, graph, model, single
from thimble.arena import arena_problem
from thimble.compile import compile_model
from thimble.errors import UnsupportedOperatorError
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Activation, DType, Model, Quant, Tensor, TensorId
from thimble.kernel import Flavour, KernelCall, Site, View
from thimble.lifetime import shipped_schedule
from thimble.lower import assembled, lowered
from thimble.memory import Solution
from thimble.ops import OPERATORS
from thimble.ops.mirror_pad import MirrorPadMode
from thimble.ops.strided import block, loops
from thimble.ops.weaving import boxes
from thimble.streaming import Segment
from thimble.verify_program import verify_program

U8 = DType.UINT8
AT_ONCE = 60
FEW = settings(max_examples=4)  # each draws a dozen models, which are compiled at once
ELSEWHERE = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL")
"""In the grid, but tested with the operators that reduce."""

Case = tuple[Model, Sequence[np.ndarray]]


def case(kind: str, inputs: list[Tensor], dtype: DType, quant: Quant | None = None, **attrs: Any) -> Case:
    """A model of one operator with values of all sizes for its inputs."""
    drawn = one(kind, inputs, dtype, quant, **attrs)
    return drawn, inputs_of(drawn, 7)


def fed(kind: str, inputs: list[Tensor], dtype: DType, values: Sequence[Any], **attrs: Any) -> Case:
    """The same with given values."""
    drawn = one(kind, inputs, dtype, None, **attrs)
    tensors = [drawn.main.tensors[i] for i in drawn.main.inputs]
    return drawn, [np.array(v, t.dtype.label).reshape(t.shape) for v, t in zip(values, tensors, strict=True)]


def together(models: Sequence[Model]) -> Model:
    """Models of one operator each as one graph."""
    tensors: list[Tensor] = []
    steps: list[Step] = []
    inputs: list[int] = []
    outputs: list[int] = []
    for each in models:
        first, main = len(tensors), each.main
        tensors += main.tensors
        inputs += [first + i for i in main.inputs]
        outputs += [first + i for i in main.outputs]
        (op,) = main.ops
        operands = tuple(None if i is None else first + i for i in op.inputs)
        steps.append(Step(op.attrs, operands, tuple(first + i for i in op.outputs)))
    return model(graph(tensors, steps, tuple(inputs), tuple(outputs)))


def check_all(cases: Sequence[Case], flags: Sequence[str] = SANITIZED) -> None:
    """Compile the models of some dozens of cases at once, and hold each result against its reference."""
    for start in range(0, len(cases), AT_ONCE):
        part = cases[start : start + AT_ONCE]
        joint = together([m for m, _ in part])
        values = [v for _, inputs in part for v in inputs]
        with HostProgram(compile_model(joint, flavour=Flavour.PORTABLE, rung=0), flags=flags) as compiled:
            compiled.run(*values)
            results = iter(compiled.run(*values))  # the second run finds what the first left
        for each, inputs in part:
            for wanted in Executor(each).run(*inputs):
                try:
                    assert_same(next(results), wanted)
                except AssertionError as error:
                    shapes = [f"{t.dtype.label}{list(t.shape)}" for t in each.main.tensors]
                    (op,) = each.main.ops
                    raise AssertionError(f"{op.kind} {' '.join(shapes)} {op.attrs}: {error}") from None


@pytest.mark.parametrize("group", ["joining", "around", "picking", "turning", "weaving", "reducing"])
def test_the_grid_that_equals_tflm(group: str) -> None:
    models = [m for kind, m in getattr(grid, group)() if kind not in ELSEWHERE]
    check_all([(m, inputs_of(m, seed)) for seed, m in enumerate(models)])


def more() -> Iterator[Case]:
    """What the grid leaves out: other types, values of run time, constant operands, many axes, single positions."""
    for t in (F32, I8, I16, I32, I64, BOOL):
        yield case("TILE", [free((2, 3, 1, 4), t), fixed([2, 1, 3, 2])], t)
        for condition in ((), (3,), (3, 4)):
            yield case("SELECT", [free(condition, BOOL), free((3, 4), t), free((3, 4), t)], t)
    yield case("FILL", [fixed([2, 3]), free((), F32)], F32)
    yield case("RANK", [free((2, 3), F32)], I32)
    yield case("RANGE", [fixed(7), fixed(-5), fixed(-3)], I32)
    for t, pads in itertools.product((F32, I8, I16, I32), ([[1, 2], [0, 3]], [[0, 0], [1, 0]])):
        yield case("PADV2", [free((2, 3), t), fixed(pads), free((), t)], t)
    wide = [[1, 2]] * 5
    for t in (F32, I8):
        yield case("PAD", [free((1, 2, 1, 2, 2), t), fixed(wide)], t)
        yield case("PADV2", [free((2, 1, 2, 1, 2), t), fixed(wide), fixed(5, t)], t)
        yield case("CONCATENATION", [free((2, 3), t), fixed(array(3, (2, 4), t.label), t), free((2, 1), t)], t, axis=1)
    for t, pads in itertools.product((F32, I8), ([[1, 1], [2, 0]], [[0, 2], [3, 5]])):
        for block_size in ([2, 2], [2, 4], [8, 8]):
            sizes = [-sum(p) % b + b for p, b in zip(pads, block_size, strict=True)]
            operands = [free((2, *sizes, 3), t), fixed(block_size), fixed(pads)]
            yield case("SPACE_TO_BATCH_ND", operands, t)
            batched = free((2 * block_size[0] * block_size[1], 7, 7, 3), t)
            yield case("BATCH_TO_SPACE_ND", [batched, fixed(block_size), fixed(pads)], t)
    order = [6, 4, 2, 0, 5, 3, 1]  # seven loops are one too many for a call
    yield case("TRANSPOSE", [free((2, 3, 2, 3, 2, 3, 2), I8), fixed(order)], I8)
    yield from lookups()


def lookups() -> Iterator[Case]:
    for t in (F32, I8, U8):
        values = array(1, (4, 3, 2), t.label)
        yield fed("GATHER", [free((4, 3, 2), t, Quant((1.0,), (0,))), free((2,), I32)], t, [values, [3, 0]])
        yield fed("GATHER_ND", [free((4, 3, 2), t), free((2, 3), I32)], t, [values, [[3, 0, 1], [0, 2, 0]]])
        for axis in range(3):
            yield case("GATHER", [free((4, 3, 2), t), fixed(1)], t, axis=axis)
        yield case("GATHER_ND", [free((4, 3, 2), t), fixed([2, 1])], t)
        yield case("GATHER", [fixed(values, t), fixed([[1, 0]])], t, axis=1)
    for t, result in ((F32, F32), (I8, I8), (I8, F32)):
        table = fixed(array(5, (6, 2, 3), t.label), t, Quant((0.03,), (0,)))
        yield fed("EMBEDDING_LOOKUP", [free((4,), I32), table], result, [[5, 0, 3, 5]])
    for begin in ([1, 2], [-5, 1 << 40], [1 << 40, -(1 << 40)]):
        operands = [free((4, 5), I8), free((2, 3), I8), free((2,), I64)]
        yield fed("DYNAMIC_UPDATE_SLICE", operands, I8, [array(1, (4, 5), "int8"), array(2, (2, 3), "int8"), begin])


def test_what_the_grid_leaves_out() -> None:
    check_all(list(more()))


def test_shared_kernels_give_the_same() -> None:
    picked = [(m, inputs_of(m, 1)) for group in ("around", "turning", "picking") for _, m in getattr(grid, group)()]
    check_all([*picked[::24], *list(more())[::8]], (*SANITIZED, "-DTHIMBLE_SHARE_KERNELS"))


@pytest.mark.parametrize("axis", [0, 1])
def test_legacy_bytes_are_rescaled(axis: int) -> None:
    quants = [Quant((0.5,), (128,)), Quant((0.25,), (3,)), Quant((0.02,), (255,))]
    given = [free((3, 5), U8, quant) for quant in (*quants, quants[1])]
    check_compiled(one("CONCATENATION", given, U8, quants[1], axis=axis))


def test_positions_outside_stay_inside() -> None:
    """TFLM reads wherever they point; the nearest element is read instead."""
    table = array(1, (4, 3), "int8")
    given = [free((4, 3), I8), free((5,), I32)]
    with compiled_of(one("GATHER", given, I8)) as compiled:
        (rows,) = compiled.run(table, np.array([-1, 4, 2, -(1 << 31), (1 << 31) - 1], np.int32))
    assert rows.tolist() == table[[0, 3, 2, 0, 3]].tolist()
    stored = fixed(table, I8, Quant((0.5,), (0,)))
    with compiled_of(one("EMBEDDING_LOOKUP", [free((2,), I32), stored], F32)) as compiled:
        (rows,) = compiled.run(np.array([-7, 9], np.int32))
    assert rows.tolist() == (table[[0, 3]] / 2).tolist()


def compiled_of(drawn: Model) -> HostProgram:
    return HostProgram(compile_model(drawn, flavour=Flavour.PORTABLE), flags=SANITIZED)


def test_not_a_number_is_no_extreme() -> None:
    nan = float("nan")
    rows = np.array([[1, nan, 2], [nan, 5, -5], [-1, -3, nan]], np.float32)
    check_all([(one(kind, [free((3, 3), F32), fixed([1])], I32), [rows]) for kind in ("ARG_MAX", "ARG_MIN")])


EXTENTS = st.lists(st.integers(1, 4), min_size=1, max_size=5)
TYPES = st.sampled_from((F32, I8, I16, I32))


def many(draw_one: Callable[[st.DrawFn], Case]) -> st.SearchStrategy[list[Case]]:
    return st.lists(st.composite(draw_one)(), min_size=12, max_size=12)


def _copy(draw: st.DrawFn) -> Case:
    """Cut, with steps of both signs, or turned, or repeated."""
    shape, t = tuple(draw(EXTENTS)), draw(TYPES)
    kind = draw(st.sampled_from(("STRIDED_SLICE", "TRANSPOSE", "TILE", "REVERSE_V2", "BROADCAST_TO")))
    axes = list(range(len(shape)))
    if kind == "TRANSPOSE":
        t = draw(st.sampled_from((F32, I8, I16)))
        return case(kind, [free(shape, t), fixed(draw(st.permutations(axes)))], t)
    if kind == "TILE":
        return case(kind, [free(shape, t), fixed([draw(st.integers(1, 3)) for _ in axes])], t)
    if kind == "REVERSE_V2":
        return case(kind, [free(shape, t), fixed(draw(st.lists(st.sampled_from(axes), min_size=1, unique=True)))], t)
    if kind == "BROADCAST_TO":
        narrow = tuple(draw(st.sampled_from((1, d))) for d in shape)
        return case(kind, [free(narrow[draw(st.integers(0, len(shape) - 1)) :], t), fixed(shape)], t)
    numbers = [[draw(st.integers(-5, 5)) for _ in axes] for _ in range(2)]
    steps = [draw(st.sampled_from((-3, -2, -1, 1, 2))) for _ in axes]
    masks = {m: draw(st.integers(0, 2 ** len(axes) - 1)) for m in ("begin_mask", "end_mask")}
    return case(kind, [free(shape, t), *map(fixed, numbers), fixed(steps)], t, **masks)


def _pad(draw: st.DrawFn) -> Case:
    shape, t = tuple(draw(EXTENTS)), draw(TYPES)
    kind = draw(st.sampled_from(("PAD", "PADV2", "MIRROR_PAD")))
    if kind == "MIRROR_PAD":
        mode = draw(st.sampled_from(MirrorPadMode))
        most = [d - (mode is MirrorPadMode.REFLECT) for d in shape]
        pads = [[draw(st.integers(0, d)), draw(st.integers(0, d))] for d in most]
        t = draw(st.sampled_from((F32, I8)))
        return case(kind, [free(shape, t), fixed(pads)], t, mode=mode)
    pads = [[draw(st.integers(0, 2)), draw(st.integers(0, 2))] for _ in shape]
    value = [fixed(draw(st.integers(-128, 127)), t)] if kind == "PADV2" else []
    return case(kind, [free(shape, t), fixed(pads), *value], t)


def _fill(draw: st.DrawFn) -> Case:
    shape, t = tuple(draw(EXTENTS)), draw(st.sampled_from((F32, I8, I32)))
    return draw(
        st.sampled_from((case("ZEROS_LIKE", [free(shape, t)], t), case("FILL", [fixed(shape), free((), t)], t)))
    )


def _select(draw: st.DrawFn) -> Case:
    shape, t = tuple(draw(EXTENTS)), draw(st.sampled_from((F32, I8, I16)))
    given = [tuple(draw(st.sampled_from((1, d))) for d in shape)[draw(st.integers(0, len(shape))) :] for _ in range(3)]
    return case("SELECT_V2", [free(given[0], BOOL), free(given[1], t), free(given[2], t)], t)


def _gather(draw: st.DrawFn) -> Case:
    shape, t = tuple(draw(EXTENTS)), draw(st.sampled_from((F32, I8)))
    axis = draw(st.integers(0, len(shape) - 1))
    batch = draw(st.integers(0, axis))
    where = shape[:batch] + tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    positions = array(draw(st.integers(0, 9)), where, "int32")
    if draw(st.booleans()):
        operands = [free(shape, t), free(where, I32)]
        values = [array(2, shape, t.label), positions % shape[axis]]
        return fed("GATHER", operands, t, values, axis=axis, batch_dims=batch)
    depth = draw(st.integers(1, len(shape)))
    positions = array(3, (3, depth), "int32") % np.array(shape[:depth])
    return fed("GATHER_ND", [free(shape, t), free((3, depth), I32)], t, [array(2, shape, t.label), positions])


def _embedding(draw: st.DrawFn) -> Case:
    shape, count = (draw(st.integers(1, 5)), *draw(EXTENTS)), draw(st.integers(1, 5))
    table = fixed(array(4, shape, "int8"), I8, Quant((draw(st.floats(1e-3, 10)),), (0,)))
    rows = [draw(st.integers(0, shape[0] - 1)) for _ in range(count)]
    return fed("EMBEDDING_LOOKUP", [free((count,), I32), table], draw(st.sampled_from((I8, F32))), [rows])


def _update(draw: st.DrawFn) -> Case:
    shape, t = tuple(draw(EXTENTS)), draw(TYPES)
    update = tuple(draw(st.integers(1, d)) for d in shape)
    begin = [draw(st.integers(-3, 5)) for _ in shape]
    wide = draw(st.sampled_from((I32, I64)))
    operands = [free(shape, t), free(update, t), free((len(shape),), wide)]
    return fed("DYNAMIC_UPDATE_SLICE", operands, t, [array(1, shape, t.label), array(2, update, t.label), begin])


def _weave(draw: st.DrawFn) -> Case:
    sizes = [draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 2)))]
    pads = [[draw(st.integers(0, 4)), draw(st.integers(0, 4))] for _ in sizes]
    rest, t = tuple(draw(st.lists(st.integers(1, 3), max_size=1))), draw(st.sampled_from((F32, I8)))
    if draw(st.booleans()):
        plain = [-sum(p) % b + b * draw(st.integers(0, 2)) or b for p, b in zip(pads, sizes, strict=True)]
        if any((d + sum(p)) % b for d, p, b in zip(plain, pads, sizes, strict=True)):
            pads = [[0, 0] for _ in sizes]
            plain = list(sizes)
        return case("SPACE_TO_BATCH_ND", [free((2, *plain, *rest), t), fixed(sizes), fixed(pads)], t)
    batched = (2 * int(np.prod(sizes)), *[-(-(sum(p) + 1) // b) for p, b in zip(pads, sizes, strict=True)], *rest)
    return case("BATCH_TO_SPACE_ND", [free(batched, t), fixed(sizes), fixed(pads)], t)


def _along(draw: st.DrawFn) -> Case:
    """ARG_MAX, ARG_MIN and CUMSUM along any axis."""
    shape, t = tuple(draw(EXTENTS)), draw(st.sampled_from((F32, I8)))
    axis, kind = draw(st.integers(-len(shape), len(shape) - 1)), draw(st.sampled_from(("ARG_MAX", "ARG_MIN", "CUMSUM")))
    if kind != "CUMSUM":
        return case(kind, [free(shape, t), fixed([axis])], draw(st.sampled_from((I32, I64))))
    x, wanted = (Quant((draw(st.floats(1e-3, 5)),), (draw(st.integers(-128, 127)),)) for _ in range(2))
    attrs = {"exclusive": draw(st.booleans()), "reverse": draw(st.booleans())}
    return case(kind, [free(shape, t, x), fixed([axis])], t, wanted, **attrs)


DRAWN = (_copy, _pad, _fill, _select, _gather, _embedding, _update, _weave, _along)


@pytest.mark.parametrize("draw_one", DRAWN, ids=lambda f: f.__name__.strip("_"))
def test_drawn_models(draw_one: Callable[[st.DrawFn], Case]) -> None:
    @FEW
    @given(many(draw_one))
    def check(cases: list[Case]) -> None:
        check_all(cases)

    check()


@given(st.integers(0, 30), st.integers(0, 60), st.integers(1, 9))
def test_boxes_hold_each_element_once(first: int, count: int, size: int) -> None:
    found = boxes(first, count, size)
    elements = [
        (box.group + i) * size + box.phase + j for box in found for i in range(box.groups) for j in range(box.phases)
    ]
    assert sorted(elements) == list(range(first, first + count))
    assert len(found) <= min(3, size)


def test_loops_are_joined() -> None:
    x = block(free((2, 3, 1, 4), I8))
    assert loops(x.shape, x.strides) == [(24, (1,))]
    turned = x.turned(1, 0, 2, 3)
    assert loops(turned.shape, turned.strides, block(free(turned.shape, I8)).strides) == [
        (3, (4, 8)),
        (2, (12, 4)),
        (4, (1, 1)),
    ]


def calls_of(kind: str, inputs: list[Tensor], dtype: DType, **attrs: Any) -> tuple[KernelCall, ...]:
    main = one(kind, inputs, dtype, **attrs).main
    (op,) = main.ops
    return op.attrs.lower(Site("here", main.operands(op), main.results(op)))


def test_calls_say_what_they_touch() -> None:
    """A concatenation writes only its slices, a slice reads only its part, a copy in one piece may be in place."""
    x, y = free((2, 3), I16), free((2, 1), I16)
    first, second = calls_of("CONCATENATION", [x, y], I16, axis=1)
    assert (first.reads[0].shape, first.writes[0].offset, first.writes[0].strides) == (None, 0, (8, 2))
    assert (second.kernel, second.writes[0].offset, second.writes[0].nbytes) == ("strided_copy", 6, 4)
    (cut,) = calls_of("SLICE", [free((4, 5), I8), fixed([1, 0]), fixed([2, 5])], I8)
    assert (cut.kernel, cut.reads[0]) == ("copy", View(cut.reads[0].tensor, 5, (2, 5), (5, 1)))
    (spread,) = calls_of("BROADCAST_TO", [free((3, 1), F32), fixed([2, 3, 4])], F32)
    assert (spread.reads[0].nbytes, spread.writes[0].shape) == (12, None)
    (moved,) = calls_of("EXPAND_DIMS", [x, fixed([0])], I16)
    assert (moved.kernel, moved.in_place) == ("copy", ((0, 0),))
    (padded,) = calls_of("PAD", [free((1, 4, 4, 3), I8), fixed([[0, 0], [1, 1], [1, 1], [0, 0]])], I8)
    members = dict(padded.fields)
    assert (padded.kernel, members["run"], members["before"], members["after"]) == ("pad", 12, (0, 18, 3), (0, 18, 3))
    assert calls_of("SLICE", [free((4,), I8), fixed([1]), fixed([0])], I8) == ()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_calls_that_may_be_in_place_are(place: int) -> None:
    """The output lies on the operand that the call names: offsets are chosen so, and the verifier lets them pass."""
    bytes_, condition = free((3, 8), I8), free((3, 1), BOOL)
    drafts = (
        case("CUMSUM", [bytes_, fixed([place % 2])], I8, exclusive=place > 1, reverse=place > 0),
        case("CUMSUM", [free((3, 8), F32), fixed([1])], F32, exclusive=place > 1),
        fed("DYNAMIC_UPDATE_SLICE", [bytes_, free((2, 2), I8), free((2,), I32)], I8, [range(24), [-1] * 4, [place, 5]]),
        case("SELECT_V2", [condition, bytes_, bytes_], I8),
        case("SELECT_V2", [free((3, 8), BOOL), bytes_, free((8,), I8)], I8),
        case("EXPAND_DIMS", [bytes_, fixed([place])], I8),
    )
    for drawn, values in drafts:
        run_in_place(drawn, values, place)


def run_in_place(drawn: Model, values: Sequence[np.ndarray], place: int) -> None:
    main, schedule = drawn.main, shipped_schedule(drawn.main)
    (unit,) = units = lowered(main, [Segment((op.id,)) for op in main.ops], Flavour.PORTABLE)
    _, slots = arena_problem(main, units)
    ((call,),) = unit.calls
    read, _ = call.in_place[place % len(call.in_place)]
    shared = {main.outputs[0]: call.reads[read].tensor.id}
    places = {index: 256 * i for i, index in enumerate(main.inputs)}
    offsets = tuple(places[shared.get(slot.tensors[0], slot.tensors[0])] for slot in slots)
    program = assembled("net", main, schedule, units, slots, Solution(offsets, 1024, 0, "by hand"))
    verify_program(program)
    with HostProgram(program, flags=SANITIZED) as compiled:
        assert_same(compiled.run(*values)[0], Executor(drawn).run(*values)[0])


def test_refusals() -> None:
    other, packed = Quant((0.07,), (1,)), Tensor(TensorId(0), "", (4,), DType.INT4, None)
    drafts = (
        ("another scale", "CONCATENATION", [free((2,), I8), free((2,), I8, other)], I8, {}),
        ("a fused activation", "CONCATENATION", [free((2,), F32)] * 2, F32, {"fused_activation_function": ACTIVE}),
        ("another scale", "PADV2", [free((2,), I8), fixed([[1, 1]]), fixed([1], I8, other)], I8, {}),
        ("an end that counts", "STRIDED_SLICE", [free((5,), F32), *[fixed([1])] * 3], F32, {"offset": True}),
        ("position 4", "GATHER", [free((4, 2), I8), fixed([1, 4])], I8, {}),
        ("position -1", "GATHER_ND", [free((4, 2), I8), fixed([[-1]])], I8, {}),
        ("positions of type int64", "GATHER", [free((4, 2), I8), free((1,), I64)], I8, {}),
        ("type int16", "ARG_MAX", [free((2, 3), I16), fixed([1])], I32, {}),
        ("an output of type int16", "ARG_MIN", [free((2, 3), I8), fixed([1])], I16, {}),
        ("type int32", "CUMSUM", [free((2, 3), I32), fixed([1])], I32, {}),
        ("elements of type int4", "BROADCAST_TO", [packed, fixed([2, 4])], DType.INT4, {}),
        ("types float32 and int8", "PACK", [free((2,), I8)], F32, {"values_count": 1}),
        ("a zero point", "EMBEDDING_LOOKUP", [free((1,), I32), fixed(np.ones((2, 2)), I8)], F32, {}),
        ("shapes that are only known at run time", "BROADCAST_ARGS", [free((2,), I32)] * 2, I32, {}),
    )
    for what, kind, inputs, dtype, attrs in drafts:
        with pytest.raises(UnsupportedOperatorError, match=f"here cannot be compiled: .*{what}"):
            calls_of(kind, inputs, dtype, **attrs)
    order = single(OPERATORS["TRANSPOSE"](), [free((2, 3), I8), free((2,), I32)], [free((3, 2), I8)])
    with pytest.raises(UnsupportedOperatorError, match=r"operand 1 .* must be a constant"):
        compile_model(order, flavour=Flavour.PORTABLE)


ACTIVE = Activation.RELU
