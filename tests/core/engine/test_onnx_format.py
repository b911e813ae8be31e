"""ONNX export: the graph gives the probabilities of the model in ONNX Runtime."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from charlstm import user_files
from charlstm.engine.onnx_format import onnx_writer
from charlstm.errors import ModelError
from charlstm.generation.softmax import softmax
from charlstm.generation.stepper import Stepper
from recorded_run import tiny_model

SYMBOLS = ("b", "\n", "é", "日", "a")


@pytest.mark.parametrize(("hidden_size", "num_layers"), [(7, 1), (12, 2), (5, 3)])
def test_onnx_graph_gives_the_probabilities_of_the_model(tmp_path: Path, hidden_size: int, num_layers: int) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = tiny_model(symbols=SYMBOLS, hidden_size=hidden_size, num_layers=num_layers)
    user_files.save(tmp_path / "x.onnx", onnx_writer(model))
    graph = runtime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
    assert json.loads(graph.get_modelmeta().custom_metadata_map["symbols"]) == list(SYMBOLS)

    stepper = Stepper(model)
    state = stepper.zero_state(3)
    h = c = np.zeros((num_layers, 3, hidden_size), np.float32)
    for ids in np.random.default_rng(1).integers(0, len(SYMBOLS), (40, 3)):
        probabilities, h, c = graph.run(["probabilities", "h_next", "c_next"], {"id": ids, "h": h, "c": c})
        assert np.allclose(probabilities, softmax(stepper.step(ids, state)), atol=1e-5)


def test_onnx_writer_without_the_package_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModelError, match=r"pip install onnx"):
        onnx_writer(tiny_model())
    assert not (tmp_path / "x.onnx").exists()
