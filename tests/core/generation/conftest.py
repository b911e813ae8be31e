"""Small random models."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from charlstm.generation import sampling
from charlstm.model.file import Model
from recorded_run import tiny_model

MakeModel = Callable[..., Model]


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    def make(symbols: str = "\n abcdefghij", hidden: int = 16, layers: int = 2, **how: Any) -> Model:
        return tiny_model(symbols=symbols, hidden_size=hidden, num_layers=layers, **how)

    return make


@pytest.fixture(scope="module")  # a function with random examples takes none for a single example
def short_repeats() -> Iterator[None]:
    """Let the repetition penalty act on what short texts repeat."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "REPETITION_LENGTH", 2)
        patch.setattr(sampling, "REPETITION_RANGE", 50)
        yield


@pytest.fixture(scope="session")
def model(make_model: MakeModel) -> Model:
    return make_model()
