"""Which weights a new run on a text starts from: those of a model that already predicts the text, or new ones.

A model helps where its loss on the text, before any training on it, is lower than that of the text's own pairs of
letters. `tests/benchmarks/README.md` has the texts on which this was tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from charlstm.errors import CharLSTMError
from charlstm.generation.softmax import cross_entropy
from charlstm.generation.stepper import Stepper
from charlstm.model.file import Model, ModelConfig, load_model
from charlstm.runs.models import DEMO, demo_path
from charlstm.text.corpus import Corpus, Span
from charlstm.text.passages import known_share
from charlstm.text.vocabulary import Vocabulary

PASSAGES, LENGTH, WARM_UP = 64, 160, 32
"""A model is tried on so many passages of so many characters, all but the first of which count."""

COUNTED = 1_000_000
"""Characters of the text whose pairs are counted."""


@dataclass(frozen=True, slots=True)
class StartModel:
    """A model and what it makes of a text before it is trained on it. Losses are in nats per character."""

    name: str
    """The name of its run, or ``demo``."""
    path: Path
    config: ModelConfig
    loss: float
    pairs: float
    """The loss of the text's own pairs of letters."""
    read: float
    """The share of the text, 0 to 1, that the model has read before, as far as its file can tell."""

    @property
    def helps(self) -> bool:
        """Whether a run on the text should start from it."""
        return self.loss < self.pairs


def try_model(name: str, path: Path, corpus: Corpus, spans: Sequence[Span]) -> StartModel:
    """Measure the model in the file ``path`` on the ``spans`` of a text that a run will be trained on. Takes half a
    second at 2 × 512. Raises :class:`~charlstm.errors.ModelError` for a file that is no usable model."""
    model = load_model(path)
    read = 0.0 if model.passages is None else known_share(model.passages, _text_of(corpus, spans))
    loss = loss_before_training(model, corpus, spans)
    return StartModel(name, path, model.config, loss, pairs_loss(corpus, spans), read)


def try_demo(corpus: Corpus, spans: Sequence[Span]) -> StartModel | None:
    """:func:`try_model` of the model that comes with charlstm; ``None`` in an installation without it."""
    path = demo_path()
    return None if path is None else try_model(DEMO, path, corpus, spans)


def best_start(models: Iterable[tuple[str, Path]], corpus: Corpus, spans: Sequence[Span]) -> StartModel | None:
    """The one of ``models`` (name and file) with the lowest loss on the text, if it helps. Those that cannot be used
    are left out."""
    best: StartModel | None = None
    for name, path in models:
        try:
            tried = try_model(name, path, corpus, spans)
        except CharLSTMError:
            continue
        if tried.helps and (best is None or tried.loss < best.loss):
            best = tried
    return best


def loss_before_training(model: Model, corpus: Corpus, spans: Sequence[Span]) -> float:
    """The loss of ``model`` on a sample of ``spans``, in nats per character.

    A character that the model does not know costs as much as a choice among all characters of the text, and is read as
    a space, or as the model's replacement symbol.
    """
    ids = _windows(corpus, spans)
    known = _ids_in(model.vocabulary, corpus.vocabulary)
    targets, stepper = known[ids], Stepper(model)
    fallback = model.vocabulary.index(model.vocabulary.replacement or " ") or 0
    inputs = np.where(targets < 0, fallback, targets)
    state, losses = stepper.zero_state(len(ids)), np.zeros(ids.shape, np.float64)
    for at in range(ids.shape[1] - 1):
        logits = stepper.step(inputs[:, at], state)
        losses[:, at + 1] = cross_entropy(logits, inputs[:, at + 1])
    losses[targets < 0] = math.log(max(2, len(corpus.vocabulary)))
    return float(losses[:, min(WARM_UP, ids.shape[1] - 1) :].mean())


def pairs_loss(corpus: Corpus, spans: Sequence[Span]) -> float:
    """The entropy of a character given the one before it, in nats, in the first :data:`COUNTED` characters of
    ``spans``."""
    ids = np.concatenate([corpus.ids[span.start : span.stop][:COUNTED] for span in spans])[:COUNTED].astype(np.int64)
    _, pairs = np.unique(ids[:-1] * len(corpus.vocabulary) + ids[1:], return_counts=True)
    _, first = np.unique(ids[:-1], return_counts=True)
    return _entropy(pairs) - _entropy(first)


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    shares = counts / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum())


def _windows(corpus: Corpus, spans: Sequence[Span]) -> npt.NDArray[np.int64]:
    """``(rows, length)`` ids of passages that are spread evenly over ``spans``."""
    span = max(spans, key=lambda each: each.stop - each.start)
    length = min(LENGTH, span.stop - span.start)
    starts = np.linspace(span.start, span.stop - length, PASSAGES).astype(np.int64)
    return np.stack([corpus.ids[start : start + length] for start in starts]).astype(np.int64)


def _ids_in(vocabulary: Vocabulary, of: Vocabulary) -> npt.NDArray[np.int64]:
    """For each symbol of ``of`` its id in ``vocabulary``, or -1."""
    found = (vocabulary.index(symbol) for symbol in of.symbols)
    return np.array([-1 if index is None else index for index in found], np.int64)


def _text_of(corpus: Corpus, spans: Sequence[Span]) -> str:
    return "\n".join(corpus.text(span.start, span.stop) for span in spans)
