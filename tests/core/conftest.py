"""What all tests of the core share: a training that is begun measures this machine shortly, and a model is tried on a
text once."""

import hashlib
from collections.abc import Hashable, Iterator, Sequence

import pytest

from charlstm.model.file import Model
from charlstm.text.corpus import Corpus, Span


@pytest.fixture(scope="session", autouse=True)
def short_measurements() -> Iterator[None]:
    from charlstm.engine import benchmark

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "BUDGET", 0.05)
        patch.setattr(benchmark, "SHORT_BUDGET", 0.02)
        yield


@pytest.fixture(scope="session", autouse=True)
def models_tried_once() -> Iterator[None]:
    """Measuring the model in the box on a text takes 0.8 s, and commands do it whenever a run may start from it."""
    from charlstm.runs import start_models

    measure = start_models.loss_before_training
    losses: dict[Hashable, float] = {}

    def loss(model: Model, corpus: Corpus, spans: Sequence[Span]) -> float:
        weights = hashlib.blake2b()
        for name, array in sorted(model.weights.items()):
            weights.update(name.encode() + array.tobytes())
        vocabularies = [(tuple(each.symbols), each.replacement) for each in (model.vocabulary, corpus.vocabulary)]
        tried = (weights.digest(), *vocabularies, corpus.fingerprint, tuple(spans))
        if tried not in losses:
            losses[tried] = measure(model, corpus, spans)
        return losses[tried]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start_models, "loss_before_training", loss)
        yield
