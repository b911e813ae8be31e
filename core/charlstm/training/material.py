"""What a run learns from: the text in its model's numbers, parted into what is trained on and what is held out.

It reads nothing into memory and knows neither settings nor networks; cutting into batches is ``text.batches``'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt

from charlstm.errors import TextError
from charlstm.text.batches import Span
from charlstm.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus
    from charlstm.training.config import Split


def learnt(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a model was trained on, by its ``info``: fingerprint, name and split of its own text, and of those of the
    models that it started from. What makes no sense is left out."""
    lineage = info.get("lineage")
    before = lineage.get("learnt") if isinstance(lineage, dict) else None
    settings = info.get("settings")
    own: dict[str, Any] = {"fingerprint": info.get("fingerprint"), "corpus": info.get("corpus")}
    if isinstance(settings, dict):
        own |= {"val_fraction": settings.get("val_fraction"), "split": settings.get("split")}
    texts = [own, *(before if isinstance(before, list) else [])]
    return [text for text in texts if isinstance(text, dict) and _is_text(text)]


def _is_text(text: dict[str, Any]) -> bool:
    fraction = text.get("val_fraction")
    return (
        isinstance(text.get("fingerprint"), str)
        and isinstance(fraction, (int, float))
        and 0 <= fraction < 1
        and text.get("split") in ("tail", "blocks")
    )


def most_learnt(
    texts: Iterable[Mapping[str, Any]], corpus: Corpus, spans: Sequence[tuple[int, int]]
) -> tuple[float, Mapping[str, Any] | None]:
    """The share of ``spans`` of ``corpus`` that a model has learnt, and by which of ``texts`` (as :func:`learnt` gives
    them), or 0 and None. Told by fingerprints and splits, without looking into the texts."""
    chars = sum(stop - start for start, stop in spans)
    most: tuple[float, Mapping[str, Any] | None] = (0.0, None)
    for text in texts:
        if text["fingerprint"] == corpus.fingerprint:
            train = corpus.split(text["val_fraction"], text["split"]).train
            common = sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in spans for b in train)
            if common > most[0] * chars:
                most = (common / chars, text)
    return most


def trained_spans(corpus: Corpus, val_fraction: float, split: Split) -> tuple[Span, ...]:
    """What of ``corpus`` a run with these settings learns from."""
    return Material.of(corpus, corpus.vocabulary, val_fraction, split).train


@dataclass(frozen=True, eq=False)
class Material:
    """``ids`` (N,) in ``vocabulary``'s numbers, and the spans of it that hold targets (two characters or more)."""

    corpus: Corpus
    vocabulary: Vocabulary
    ids: npt.NDArray[Any]
    train: tuple[Span, ...]
    held_out: tuple[Span, ...]

    @classmethod
    def of(cls, corpus: Corpus, vocabulary: Vocabulary, val_fraction: float, split: Split) -> Self:
        """``corpus`` in the numbers of ``vocabulary``. Raises :class:`TextError` when nothing can be trained on."""
        ids, _ = corpus.encoded_for(vocabulary)
        parts = corpus.split(val_fraction, split)
        train, held_out = (
            tuple(span for span in part if span.stop - span.start >= 2) for part in (parts.train, parts.held_out)
        )
        if not train and corpus.chars >= 2:  # too short to part: nothing is held out
            train, held_out = (Span(0, corpus.chars),), ()
        if not train:
            raise TextError(f"{corpus.name} is too short to learn from: training takes two characters at least")
        return cls(corpus, vocabulary, ids, train, held_out)

    @property
    def train_targets(self) -> int:
        """Characters to predict in training."""
        return _targets(self.train)

    @property
    def held_out_targets(self) -> int:
        """Characters to predict in validation; 0 when nothing is held out."""
        return _targets(self.held_out)


def _targets(spans: tuple[Span, ...]) -> int:
    return sum(span.stop - span.start - 1 for span in spans)
