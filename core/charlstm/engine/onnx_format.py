"""Write a model as an ONNX graph that computes one step, for use in any ONNX runtime.

Inputs: ``id`` (B,) int64, the ids of the characters; ``h`` and ``c`` (L, B, H) float32, the state, which is zero at the
start. Outputs: ``probabilities`` (B, V) float32 of the next character, ``h_next`` and ``c_next``. The metadata entry
``symbols`` is the vocabulary, a JSON list in the order of the ids. Needs the package onnx, which only this module
imports.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from charlstm.errors import ModelError
from charlstm.storage import write_all

if TYPE_CHECKING:
    from charlstm.model.file import Model


OPSET = 17
"""ONNX's operator set of 2022, which runtimes of the last years support."""

IR_VERSION = 8

MAX_BYTES = 2**31 - 2**20
"""An ONNX file is one protobuf message, which can have at most 2 GB."""


def onnx_writer(model: Model) -> Callable[[BinaryIO], None]:
    """A function that writes the graph of ``model`` to an open file.

    Raises :class:`ModelError` if the package onnx is not installed or the model is too large for one file.
    """
    try:
        import onnx
    except ImportError:
        raise ModelError("Writing ONNX needs the package onnx, which is not installed: pip install onnx") from None
    if 4 * model.config.parameters > MAX_BYTES:
        raise ModelError(f"The model has {model.config.parameters:,} weights, more than one ONNX file can hold")
    graph = _graph(model)
    whole = onnx.helper.make_model(
        graph,
        producer_name="charlstm",
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(whole, {"symbols": json.dumps(model.vocabulary.symbols)})
    onnx.checker.check_model(whole)
    content = whole.SerializeToString()
    return lambda file: write_all(file, content)


def _graph(model: Model) -> Any:
    """The graph, with an LSTM node of ONNX for each layer, over one time step."""
    from onnx import TensorProto, helper, numpy_helper

    config, weights = model.config, model.weights
    layers, size, characters = config.num_layers, config.hidden_size, config.vocab_size
    constants: dict[str, npt.NDArray[Any]] = {
        "characters": np.array(characters, np.int64),
        "off_on": np.array([0, 1], np.float32),
        "time": np.array([0], np.int64),
        "direction": np.array([1], np.int64),
        "fc.weight": np.ascontiguousarray(weights["fc.weight"].T),
        "fc.bias": weights["fc.bias"],
    }
    nodes = [
        helper.make_node("OneHot", ["id", "characters", "off_on"], ["one_hot"], axis=-1),
        helper.make_node("Unsqueeze", ["one_hot", "time"], ["output_0"]),
        helper.make_node("Split", ["h"], [f"h_{layer}" for layer in range(layers)], axis=0),
        helper.make_node("Split", ["c"], [f"c_{layer}" for layer in range(layers)], axis=0),
    ]
    for layer in range(layers):
        for kind in ("weight_ih", "weight_hh"):
            constants[f"{kind}_{layer}"] = _gates(weights[f"lstm.{kind}_l{layer}"])[None]
        biases = (_gates(weights[f"lstm.bias_{kind}_l{layer}"]) for kind in ("ih", "hh"))
        constants[f"bias_{layer}"] = np.concatenate(list(biases))[None]
        inputs = [f"output_{layer}", f"weight_ih_{layer}", f"weight_hh_{layer}", f"bias_{layer}"]
        inputs += ["", f"h_{layer}", f"c_{layer}"]  # the empty name: all sequences have the same length
        outputs = [f"directed_{layer}", f"h_next_{layer}", f"c_next_{layer}"]
        nodes += [
            helper.make_node("LSTM", inputs, outputs, hidden_size=size),
            helper.make_node("Squeeze", [f"directed_{layer}", "direction"], [f"output_{layer + 1}"]),
        ]
    nodes += [
        helper.make_node("Concat", [f"h_next_{layer}" for layer in range(layers)], ["h_next"], axis=0),
        helper.make_node("Concat", [f"c_next_{layer}" for layer in range(layers)], ["c_next"], axis=0),
        helper.make_node("Squeeze", [f"output_{layers}", "time"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "fc.weight"], ["products"]),
        helper.make_node("Add", ["products", "fc.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    state = (layers, "B", size)
    return helper.make_graph(
        nodes,
        "charlstm_step",
        [
            helper.make_tensor_value_info("id", TensorProto.INT64, ("B",)),
            helper.make_tensor_value_info("h", TensorProto.FLOAT, state),
            helper.make_tensor_value_info("c", TensorProto.FLOAT, state),
        ],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ("B", characters)),
            helper.make_tensor_value_info("h_next", TensorProto.FLOAT, state),
            helper.make_tensor_value_info("c_next", TensorProto.FLOAT, state),
        ],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )


def _gates(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Reorder gates from torch's order (i, f, g, o) to ONNX's (i, o, f, c), along the first axis."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, o, f, g])
