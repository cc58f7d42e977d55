# SPDX-License-Identifier: Apache-2.0
"""TVM's C code of a model with TVM's static memory plan, run by an interpreter with `apache-tvm` and `tflite`.

TVM had an ahead-of-time executor for microcontrollers; current releases have its operators' C code and its static plan
of storage, but nothing that calls one after the other without the runtime's virtual machine. `write_tvm` therefore
writes that driver: the calls of Relax's main function after `StaticPlanBlockMemory`, in C, on static memory.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np

_HEAD = """
#include <stdint.h>
#include <dlpack/dlpack.h>
#include "tvm/ffi/c_api.h"
static uint8_t workspace[{workspace}] __attribute__((aligned(16)));
static uint32_t workspace_used, workspace_blocks;
void *TVMBackendAllocWorkspace(int a, int b, uint64_t bytes, int c, int d) {{
  void *const at = workspace + workspace_used;
  workspace_used += ((uint32_t)bytes + 15u) & ~15u;
  workspace_blocks++;
  return at;
}}
int TVMBackendFreeWorkspace(int a, int b, void *at) {{
  if (--workspace_blocks == 0) {{
    workspace_used = 0;
  }}
  return 0;
}}
"""


def write_tvm(folder: Path) -> None:
    """tvm.c: the operators' code, and `entry(input, output)`."""
    tflite, tvm = importlib.import_module("tflite"), importlib.import_module("tvm")
    frontend = importlib.import_module("tvm.relax.frontend.tflite")
    model = tflite.Model.GetRootAsModel((folder / "model.tflite").read_bytes(), 0)
    planned = _planned(tvm.relax, tvm.ir, frontend.from_tflite(model))
    operators = {v: f for v, f in planned.functions.items() if not isinstance(f, tvm.relax.Function)}
    with tvm.transform.PassContext(config={"tirx.disable_assert": True}):
        built = tvm.compile(tvm.IRModule(operators), target=tvm.target.Target("c", host="c"))
    source = built.mod.inspect_source()
    head = _HEAD.format(workspace=max(16, *map(_workspace, source.split("TVM_DLL int32_t __tvm_ffi_"))))
    text = head + source + _Driver(tvm.relax).text(planned["main"])
    (folder / "tvm.c").write_text(text, encoding="utf-8")


def _planned(relax: Any, ir: Any, module: Any) -> Any:
    """The default pipeline up to the memory plan; only what fills a virtual machine is left out."""
    steps = relax.transform
    return ir.transform.Sequential(
        [
            steps.DecomposeOpsForInference(),
            steps.LegalizeOps(),
            steps.FoldConstant(),
            steps.AnnotateTIROpPattern(),
            steps.FuseOps(),
            steps.FuseTIR(),
            steps.DeadCodeElimination(),
            steps.RewriteDataflowReshape(),
            steps.ToNonDataflow(),
            steps.RemovePurityChecking(),
            steps.CallTIRRewrite(),
            steps.StaticPlanBlockMemory(),
            steps.AttachGlobalSymbol(),
        ]
    )(module)


def _workspace(function: str) -> int:
    """Bytes that one operator asks for; all are given back at its end."""
    found = re.findall(r"TVMBackendAllocWorkspace\([^;]*?\(uint64_t\)(\d+)", function)
    return sum(-(-int(size) // 16) * 16 for size in found)


class _Driver:
    """Relax's main function as C. `places` maps its variables to C expressions of their data."""

    def __init__(self, relax: Any) -> None:
        self.relax = relax
        self.places: dict[Any, str] = {}
        self.declared: list[str] = []
        self.calls: list[str] = []
        self.constants: dict[Any, str] = {}

    def text(self, main: Any) -> str:
        self.places[main.params[0]] = "input"
        result = main.body.body
        for block in main.body.blocks:
            for binding in block.bindings:
                self._bind(binding.var, binding.value)
        self.calls.append(f"  __builtin_memcpy(output, {self.places[result]}, {self._bytes(result)});")
        body = "\n".join(self.calls)
        return "\n".join([*self.declared, f"void entry(void *input, void *output) {{\n{body}\n}}\n"])

    def _bind(self, variable: Any, value: Any) -> None:
        if not isinstance(value, self.relax.Call):
            self.places[variable] = self._place(value)
            return
        name = getattr(value.op, "name", "")
        if name == "relax.memory.alloc_storage":
            self.places[variable] = self._static(int(value.args[0].values[0]))
        elif name == "relax.memory.alloc_tensor":
            self.places[variable] = f"({self.places[value.args[0]]} + {int(value.args[1].value)})"
        elif name == "relax.builtin.alloc_tensor":
            self.places[variable] = self._static(self._bytes(variable))
        elif name == "relax.reshape":
            self.places[variable] = self._place(value.args[0])
        elif name.startswith("relax."):
            raise ValueError(f"the driver has no {name}")
        else:
            self._call(value.op.name_hint, list(value.args))

    def _call(self, function: str, operands: list[Any]) -> None:
        number = len(self.calls)
        shapes, tensors, values = [], [], []
        for index, operand in enumerate(operands):
            shape, name = self._shape(operand), f"s{number}_{index}"
            dtype = np.dtype(str(operand.ty.dtype))
            code = {"f": 2, "i": 0, "u": 1}[dtype.kind]
            shapes.append(f"  static const int64_t {name}[] = {{{', '.join(map(str, shape)) or '0'}}};")
            tensors.append(
                f"    {{(void *){self._place(operand)}, {{kDLCPU, 0}}, {len(shape)}, "
                f"{{{code}, {dtype.itemsize * 8}, 1}}, (int64_t *){name}, 0, 0}},"
            )
            values.append(f"    {{.type_index = kTVMFFIDLTensorPtr, .v_ptr = &t[{index}]}},")
        self.calls.append(
            "\n".join(
                [
                    "  {",
                    *shapes,
                    "  DLTensor t[] = {",
                    *tensors,
                    "  };\n  TVMFFIAny a[] = {",
                    *values,
                    f"  }}, r = {{0}};\n  __tvm_ffi_{function}(0, a, {len(operands)}, &r);\n  }}",
                ]
            )
        )

    def _place(self, operand: Any) -> str:
        if type(operand).__name__ != "GenericConst":
            return self.places[operand]
        if operand not in self.constants:
            self.constants[operand] = f"constant_{len(self.constants)}"
            data = operand.value.numpy().tobytes()
            words = np.frombuffer(data + bytes(-len(data) % 4), "<u4")
            body = ",".join(map(hex, words.tolist()))
            self.declared.append(f"static const uint32_t {self.constants[operand]}[] = {{{body}}};")
        return self.constants[operand]

    def _static(self, nbytes: int) -> str:
        name = f"storage_{len(self.declared)}"
        self.declared.append(f"static uint8_t {name}[{nbytes}] __attribute__((aligned(16)));")
        return name

    def _shape(self, operand: Any) -> list[int]:
        return [int(extent) for extent in operand.ty.shape.values]

    def _bytes(self, operand: Any) -> int:
        return int(np.prod(self._shape(operand))) * np.dtype(str(operand.ty.dtype)).itemsize
