# SPDX-License-Identifier: Apache-2.0
"""Calls into CMSIS-NN: on the host its plain C, in the emulator its packed arithmetic and Helium, all with one result.

CMSIS-NN is not part of the repository. Without it only the lowering is tested, and the skips say so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tflm_models as made
from cmsis import everything, host_object, include_flags, needs_cmsis_nn
from compiled import SANITIZED, check_compiled, edge_inputs
from test_emulate import each
from test_kernels_elementwise import Case, cases_of, merged
from test_reference_convolution import convolutions, dense, pools
from thimble import zoo
from thimble.compile import compile_model
from thimble.emulate import Bundle, Measurement, bundle_of, emulate_bundle
from thimble.errors import OptionError
from thimble.execute import Executor
from thimble.host import HostProgram
from thimble.ir import Array, DType, Model
from thimble.kernel import Flavour
from thimble.ops.cmsis_sizes import Pair, Slide, is_row, row_surplus
from thimble.produce import compile_bundle, run

I8 = DType.INT8
FLAVOURS = [Flavour.CMSIS_NN, Flavour.CMSIS_NN_MVE]
GRID = [*convolutions(((I8, I8),)), *dense(((I8, I8),)), *pools((I8,))]
MACHINES = {"mps2-an386": Flavour.CMSIS_NN, "mps3-an547": Flavour.CMSIS_NN_MVE}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return (*include_flags(), str(host_object(tmp_path_factory.mktemp("cmsis_nn"))))


def elementwise(kind: str) -> Model:
    return merged([case for case in cases_of(kind) if is_int8(case.model)])[0]


def is_int8(model: Model) -> bool:
    return {tensor.dtype for tensor in model.main.tensors} == {I8}


def kernels(model: Model, flavour: Flavour) -> set[str]:
    return {step.call.kernel for step in compile_model(model, flavour=flavour, optimize=None).steps}


@needs_cmsis_nn
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
@pytest.mark.parametrize(("name", "model"), GRID, ids=[name for name, _ in GRID])
def test_grid(name: str, model: Model, flavour: Flavour, library: tuple[str, ...]) -> None:
    check_compiled(model, flavour=flavour, flags=(*SANITIZED, *library))


@needs_cmsis_nn
@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
@pytest.mark.parametrize("kind", ["ADD", "MUL", "SOFTMAX"])
def test_elementwise(kind: str, flavour: Flavour, library: tuple[str, ...]) -> None:
    model = elementwise(kind)
    check_compiled(model, flavour=flavour, flags=(*SANITIZED, *library))
    assert kind != "SOFTMAX" or "softmax_s8" in kernels(model, flavour)  # of a row of 1,001
    assert f"cmsis_nn_{kind.lower()}" in kernels(model, flavour)


def on(machine: str, model: Model, inputs: list[tuple[Array, ...]]) -> Measurement:
    """Measured with CMSIS-NN as a part of the network's own C file."""
    bundle = bundle_of(compile_model(model, flavour=MACHINES[machine], name="net", optimize=None))
    files = {**bundle.files, "cmsis_nn.inc": everything()}
    files["net.c"] += '#include "cmsis_nn.inc"\n'
    return emulate_bundle(Bundle(bundle.interface, files), inputs, machine, flags=("-O2", *include_flags()))


@needs_cmsis_nn
@each(*MACHINES)
def test_grid_on(machine: str) -> None:
    cases = [Case(name, model, next(iter(edge_inputs(model)))) for name, model in GRID]
    cases += [case for kind in ("ADD", "MUL", "SOFTMAX") for case in cases_of(kind) if is_int8(case.model)]
    model, values = merged(cases)
    measured = on(machine, model, [values])
    for case, got, wanted in zip(cases, measured.outputs[0], Executor(model).run(*values), strict=True):
        np.testing.assert_array_equal(got, wanted, case.name)
    assert measured.outside_accesses == 0, measured.first_outside


@needs_cmsis_nn
@each(*MACHINES)
def test_network_on(machine: str) -> None:
    model = zoo.build("resnet_8", resolution=16)
    inputs = list(edge_inputs(model))[:1]
    measured = on(machine, model, inputs)
    np.testing.assert_array_equal(measured.outputs[0][0], Executor(model).run(*inputs[0])[0])
    # With Helium CMSIS-NN's matrix product reads on behind the last weights, and drops what it finds there.
    reads_on = machine == "mps3-an547" and "arm_nn_mat_mult_nt_t_s8" in measured.first_outside
    assert measured.outside_accesses == 0 or (reads_on and " reads " in measured.first_outside), measured.first_outside
    assert measured.stack_bound is not None
    assert measured.stack_bytes <= measured.stack_bound


@needs_cmsis_nn
@each("mps3-an547")
def test_a_network_without_room_for_helium_is_not_compiled_for_it(machine: str) -> None:
    model = made.conv((1, 4, 4, 4), (4, 3, 3, 4), (1, 4, 4, 4))
    bundle = bundle_of(compile_model(model, flavour=Flavour.CMSIS_NN, optimize=None))
    with pytest.raises(OptionError, match="has no member named 'bytes_without_helium'"):
        emulate_bundle(bundle, [(np.zeros((1, 4, 4, 4), np.int8),)], machine, flags=include_flags())


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda f: f.value)
def test_what_is_called(flavour: Flavour) -> None:
    used = kernels(zoo.build("ds_cnn"), flavour) | kernels(zoo.build("resnet_8"), flavour)
    small = "" if flavour is Flavour.CMSIS_NN_MVE else "_direct"  # 3 x 3 taps need work space for Helium only
    assert used - {"copy"} == {
        "cmsis_nn_add",
        "cmsis_nn_average_pool_2d",
        "cmsis_nn_conv_2d",
        "cmsis_nn_conv_2d_direct",
        f"cmsis_nn_depthwise_conv_2d{small}",
        "cmsis_nn_fully_connected",
        "cmsis_nn_softmax",
    }


def test_rows_that_cmsis_nn_takes_for_padded_stay_portable() -> None:
    """Stride 2 over 8 columns leaves the last one out: with Helium it would be read as if it were padding."""
    model = made.conv((1, 1, 8, 4), (4, 1, 3, 4), (1, 1, 3, 4), stride=2, valid=True)
    slide = Slide(Pair(2, 2), Pair(1, 1), Pair(0, 0))
    assert is_row(slide, (1, 1, 8, 4), (4, 1, 3, 4))
    assert row_surplus(slide, (1, 1, 8, 4), (4, 1, 3, 4), (1, 1, 3, 4)) == -1
    assert kernels(model, Flavour.CMSIS_NN_MVE) == {"conv_2d_s8"}


def test_the_command_line_knows_them(tmp_path: Path) -> None:
    for target, kernels in (("cortex-m4", "cmsis-nn"), ("cortex-m55", "cmsis-nn-mve")):
        bundle = compile_bundle("demo", tmp_path / target, target=target, kernels="cmsis-nn")
        assert bundle.manifest["kernels"] == kernels
        assert bundle.manifest["ram_bytes"] is None
        assert any("your CMSIS-NN" in notice for notice in bundle.manifest["notices"])
    with pytest.raises(OptionError, match="no CMSIS-NN here to run it with"):
        run("demo", (), kernels="cmsis-nn")


@needs_cmsis_nn
@pytest.mark.parametrize("rung", [3, 4, 5])
def test_rows_are_computed_by_own_kernels(rung: int, library: tuple[str, ...]) -> None:
    """CMSIS-NN computes whole layers; what a higher rung computes row by row is portable."""
    model = zoo.build("resnet_8", resolution=16)
    inputs = next(edge_inputs(model))
    with HostProgram(compile_model(model, flavour=Flavour.CMSIS_NN, rung=rung), flags=("-O1", *library)) as compiled:
        np.testing.assert_array_equal(compiled.run(*inputs)[0], Executor(model).run(*inputs)[0])
