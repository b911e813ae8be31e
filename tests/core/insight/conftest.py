"""A small random model, and a text of its characters."""

import numpy as np
import pytest

from charlstm.model.file import Model
from recorded_run import tiny_model


@pytest.fixture(scope="session")
def model() -> Model:
    return tiny_model(symbols="\n abcdefghij", hidden_size=16, num_layers=2)


@pytest.fixture(scope="session")
def text() -> str:
    return "".join(np.random.default_rng(1).choice(list(" abcdefghij"), 600))
