"""Models that version 0.1.0 wrote stay readable: files of format 1, and a checkpoint of the script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charlstm
from charlstm.engine.script_format import import_checkpoint

pytestmark = pytest.mark.numeric

WRITTEN = Path(__file__).parents[1] / "data" / "version_0_1"


def test_model_of_0_1_has_the_weights_of_its_script_checkpoint() -> None:
    model = charlstm.load_model(WRITTEN / "model.safetensors")
    imported = import_checkpoint(WRITTEN.parent / "script.net")
    assert imported.vocabulary.symbols == model.vocabulary.symbols
    for name, array in model.weights.items():
        assert np.array_equal(imported.weights[name], array)
    assert len(charlstm.generate(model, "The ", 20, seed=1)) == 20
