"""Small random models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from charlstm.generation import sampling
from charlstm.model.file import Model, ModelConfig
from charlstm.text.vocabulary import Vocabulary

MakeModel = Callable[..., Model]


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    def make(
        symbols: Sequence[str] = "\n abcdefghij", hidden: int = 16, layers: int = 2, seed: int = 0, scale: float = 1.0
    ) -> Model:
        config = ModelConfig(len(symbols), hidden, layers)
        random = np.random.default_rng(seed)
        weights = {name: random.normal(0, scale / 2, shape).astype(np.float32) for name, shape in config.shapes.items()}
        return Model(config, Vocabulary(list(symbols)), weights)

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
