"""What a run learns from: the text in its model's numbers, parted into what is trained on and what is held out.

It reads nothing into memory and knows neither settings nor networks; cutting into batches is ``text.batches``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt

from charlstm.errors import TextError
from charlstm.text.batches import Span
from charlstm.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from charlstm.text.corpus import Corpus
    from charlstm.training.config import Split


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
