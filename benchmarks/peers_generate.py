# SPDX-License-Identifier: Apache-2.0
"""What peers make of a model, run by an interpreter that has the peer: see `peers_compile.py`, which calls this.

    PYTHON benchmarks/peers_generate.py PEER FOLDER

FOLDER holds `model.json` and `model.npz` (from `peers_onnx.py`), `model.tflite` and `input.npy`. PEER is onnx (writes
`model.onnx`), emlearn (writes `emlearn.c`), tvm (writes `tvm.c`) or executorch (writes `executorch.json` and `.npy`).
Exit code 3 and a message where the peer cannot have this model.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


class CannotError(Exception):
    """The peer has no way to do this."""


def load(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's description, and its constants."""
    with np.load(folder / "model.npz") as constants:
        arrays = {name: constants[name] for name in constants.files}
    return json.loads((folder / "model.json").read_text(encoding="utf-8")), arrays


def write_onnx(folder: Path) -> None:
    """model.onnx, with the shapes of all tensors."""
    onnx = importlib.import_module("onnx")
    model, constants = load(folder)
    types = {"float32": onnx.TensorProto.FLOAT, "int8": onnx.TensorProto.INT8}

    def port(name: str, shape: list[int], dtype: str) -> Any:
        return onnx.helper.make_tensor_value_info(name, types[dtype], shape)

    nodes = [
        onnx.helper.make_node(n["kind"], n["inputs"], [n["output"]], n["output"], domain=n["domain"], **n["attributes"])
        for n in model["nodes"]
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "model",
        [port(*model["input"])],
        [port(*model["output"])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        value_info=[port(*tensor) for tensor in model["tensors"]],
    )
    domains = {"": 13, **{n["domain"]: 1 for n in model["nodes"] if n["domain"]}}
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in domains.items()]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")


def write_emlearn(folder: Path) -> None:
    """emlearn.c: a net of fully connected layers, in float."""
    net = importlib.import_module("emlearn.net")
    model, constants = load(folder)
    layers: list[list[Any]] = []
    for node in model["nodes"]:
        if node["kind"] == "Gemm":
            layers.append(["identity", constants[node["inputs"][1]].T, constants[node["inputs"][2]]])
        elif node["kind"] in ("Relu", "Softmax") and layers:
            layers[-1][0] = node["kind"].lower()
        else:
            raise CannotError(f"fully connected layers in float only, not {node['kind']}")
    activations, weights, biases = zip(*layers, strict=True)
    text = net.c_generate_net_loadable(activations, weights, biases, "net")
    (folder / "emlearn.c").write_text(text, encoding="utf-8")


def write_executorch(folder: Path) -> None:
    """executorch.json: bytes of the planned arena and of the program; executorch.npy: outputs for input.npy."""
    torch = importlib.import_module("torch")
    exir = importlib.import_module("executorch.exir")
    runtime = importlib.import_module("executorch.runtime")
    model, constants = load(folder)
    if any(node["kind"].startswith("QLinear") for node in model["nodes"]):
        raise CannotError("it quantizes models itself; weights with given scales are not taken over")
    values = np.load(folder / "input.npy")
    exported = torch.export.export(_torch_module(torch, model, constants), (torch.from_numpy(values),))
    # As fully connected weights are stored; else the program would transpose them at run time, in the arena.
    config = exir.EdgeCompileConfig(preserve_ops=[torch.ops.aten.linear.default])
    program = exir.to_edge(exported, compile_config=config).to_executorch()
    (folder / "executorch.pte").write_bytes(program.buffer)
    plan = program.executorch_program.execution_plan[0]
    method = runtime.Runtime.get().load_program(str(folder / "executorch.pte")).load_method("forward")
    outputs = method.execute([torch.from_numpy(values)])[0].numpy()
    result = {
        "arena": sum(plan.non_const_buffer_sizes),
        "program": len(program.buffer),
        "constants": sum(value.nbytes for value in constants.values()),
    }
    np.save(folder / "executorch.npy", outputs)
    (folder / "executorch.json").write_text(json.dumps(result), encoding="utf-8")


def _torch_module(torch: Any, model: dict[str, Any], constants: dict[str, Any]) -> Any:
    functional = torch.nn.functional

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            for name, value in constants.items():
                self.register_buffer(name, torch.from_numpy(value))

        def forward(self, x: Any) -> Any:
            known = {model["input"][0]: x}
            for node in model["nodes"]:
                operands = [known[n] if n in known else getattr(self, n) for n in node["inputs"]]
                known[node["output"]] = apply(node["kind"], operands, node["attributes"])
            return known[model["output"][0]]

    def apply(kind: str, x: list[Any], a: dict[str, Any]) -> Any:
        if kind == "Conv":
            top, left, bottom, right = a["pads"]
            equal = (top, left) == (bottom, right)
            image = x[0] if equal else functional.pad(x[0], (left, right, top, bottom))
            return functional.conv2d(
                image, x[1], x[2], a["strides"], (top, left) if equal else 0, a["dilations"], a["group"]
            )
        simple = {
            "Relu": lambda: torch.relu(x[0]),
            "Clip": lambda: torch.clamp(x[0], 0.0, 6.0),
            "Add": lambda: x[0] + x[1],
            "Flatten": lambda: torch.flatten(x[0], 1),
            "Gemm": lambda: functional.linear(x[0], x[1], x[2]),
            "Softmax": lambda: torch.softmax(x[0], -1),
            "AveragePool": lambda: functional.avg_pool2d(x[0], a["kernel_shape"], a["strides"]),
        }
        return simple[kind]()

    return Model().eval()


def main() -> int:
    """Write what was asked for."""
    peer, folder = sys.argv[1], Path(sys.argv[2])
    try:
        if peer == "tvm":
            importlib.import_module("peers_tvm").write_tvm(folder)
        else:
            {"onnx": write_onnx, "emlearn": write_emlearn, "executorch": write_executorch}[peer](folder)
    except CannotError as error:
        print(error)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
